/** An endpoint that is changed while something waits for it or is under way, over a real Redis and real sockets. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openConsumer } from '../support/consumer.ts';
import { openPosting, type Posting } from '../support/posting.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let line: Posting;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
});
afterAll(() => opened.disposeAsync());
beforeEach(async () => {
  if (line) await line.redis.flushall();
  line = opened.use(await openPosting(server));
});

describe('an endpoint', () => {
  it('that was moved is not disabled by a 410 from where it was: where it is gets what was posted', async () => {
    const { promise: moved, resolve: move } = Promise.withResolvers<void>();
    await using before = await openConsumer(async () => {
      await moved;
      return { status: 410 };
    });
    await using after = await openConsumer(() => ({ status: 204 }));
    const { id } = await line.addWebhook({ endpoint: before.url });
    const ids = await line.emit(1);
    await line.notifyAll();
    await line.look();
    await until('the POST to be under way', () => before.calls.length === 1);
    await line.webhooks.change(id, (was) => ({ webhook: { ...was, endpoint: after.url } }));
    move();
    await until('the POST to the new place', () => after.calls.length === 1);
    await Promise.all(line.rounds.values());
    expect(after.ids()).toEqual(ids);
    expect(await line.webhooks.get(id)).toMatchObject({ status: 'enabled', endpoint: after.url });
  });
});
