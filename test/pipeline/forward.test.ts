/** What is due for an endpoint is posted, whatever else is under way for it, and whatever Redis has forgotten. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openConsumer } from '../support/consumer.ts';
import { minute, openPosting, type Posting } from '../support/posting.ts';
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
  // An answer may be owed for longer than a test waits for anything.
  line = opened.use(await openPosting(server, { deadlineMs: minute }));
});

it('an answer that an endpoint owes keeps back nothing else that is for it', async () => {
  let isFirst = true;
  await using consumer = await openConsumer(() => {
    const answer = isFirst ? null : { status: 204 };
    isFirst = false;
    return answer;
  });
  await line.addWebhook({ endpoint: consumer.url });
  for (const count of [1, 2]) {
    await line.emit(1);
    await line.notifyAll();
    await line.look();
    await until('it to be posted', () => consumer.calls.length === count);
  }
});

it('a Redis that lost its data has its events told of from then on', async () => {
  await line.redis.flushall();
  await line.emit(3);
  expect(await line.outbox.next(10, new AbortController().signal)).toHaveLength(3);
});
