/** How many parked emails a transport gets at once: as many as its connections can take, and bulk only beside what waits already. */
import { expect, it } from 'vitest';
import { mostReleased } from '../../src/domain/release.ts';

const pool = { open: 2, waiting: 0, waitingBulk: 0, room: { transactional: 8, bulk: 6 } };
const endless = { transactional: Number.POSITIVE_INFINITY, bulk: Number.POSITIVE_INFINITY };

it('is the room of the pool while no message waits for a connection, shared by the lanes', () => {
  for (const hasRates of [true, false])
    expect(mostReleased(pool, hasRates, 2)).toEqual({ max: 8, transactional: 8, bulk: 6 });
});

it('is nothing with rates while the first connection is opened', () => {
  expect(mostReleased({ ...pool, open: 0, waiting: 1 }, true, 2)).toEqual({ max: 0, transactional: 0, bulk: 0 });
});

it('is one transactional email for each connection while messages wait, and bulk only where no bulk waits', () => {
  expect(mostReleased({ ...pool, waiting: 3 }, false, 2)).toEqual({ max: 6, transactional: 2, bulk: 6 });
  expect(mostReleased({ ...pool, waiting: 3, waitingBulk: 1 }, false, 2)).toMatchObject({ bulk: 0 });
  expect(mostReleased({ ...pool, open: 0, waiting: 1 }, false, 2)).toMatchObject({ bulk: 0 });
});

it('is no more than the connections where a transport without limits has messages that wait', () => {
  expect(mostReleased({ ...pool, waiting: 1, room: endless }, false, 2)).toEqual({ max: 2, transactional: 2, bulk: 2 });
});
