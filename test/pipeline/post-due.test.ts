/** What is due for an endpoint is posted, whatever else is under way for it, and whatever Redis has forgotten. */
import { beforeEach, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { openConsumer } from '../support/consumer.ts';
import { minute, openPosting, type Posting } from '../support/posting.ts';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let line: Posting;
useTestRedis((own) => {
  server = own;
});
beforeEach(async () => {
  // An answer may be owed for longer than a test waits for anything.
  line = await openPosting(server, { deadlineMs: minute });
  return () => line[Symbol.asyncDispose]();
});

it('a POST without an answer does not hold back other posts of its endpoint', async () => {
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

it('an endpoint that answers slowly leaves half of the places to the others', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using slow = await openConsumer(async () => {
    await released;
    return { status: 204 };
  });
  const { promise: crowded, resolve: crowd } = Promise.withResolvers<void>();
  let slowInHand = 0;
  // Answers nobody before there are five at once.
  await using other = await openConsumer(async (n) => {
    if (n === 5) crowd();
    if (n === 200) slowInHand = slow.calls.length;
    await crowded;
    return { status: 204 };
  });
  for (const { url } of [slow, other]) await line.addWebhook({ endpoint: url });
  await line.emit(200);
  await line.notifyAll();
  await line.look();
  await until('the other to have all', () => other.calls.length === 200);
  expect(slowInHand).toBeLessThanOrEqual(25);
  release();
  await line.roundsEnded();
  expect(slow.calls).toHaveLength(200);
});

/** So many round trips later a round that nothing came for waits again. */
async function later(trips = 50): Promise<void> {
  for (let n = 0; n < trips; n++) await line.redis.ping();
}

it('an endpoint that is disabled and enabled again during a POST gets later events', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using consumer = await openConsumer(async (n) => {
    if (n === 1) await released;
    return n === 2 ? null : { status: 204 };
  });
  const { id } = await line.addWebhook({ endpoint: consumer.url });
  await line.emit(2);
  await line.notifyAll();
  await line.look();
  await until('both to be posted', () => consumer.calls.length === 2);
  const disabled = { status: 'disabled', disabledReason: 'by_request' } as const;
  await line.webhooks.change(id, (was) => ({ webhook: { ...was, ...disabled } }));
  await line.posts.drop(id);
  // Its round goes on, and finds it disabled, while it still owes the other answer.
  release();
  await until('the answer to be taken', async () => (await line.redis.exists(keys.posts(id))) === 0);
  await later();
  await line.webhooks.change(id, (was) => ({ webhook: { ...was, status: 'enabled', disabledReason: null } }));
  const [last = ''] = await line.emit(1);
  await line.notifyAll();
  await line.look();
  await until('what came since to be posted', () => consumer.ids().includes(last));
});

it('an endpoint that is moved during a POST gets later events at its new address', async () => {
  await using before = await openConsumer(() => null);
  await using after = await openConsumer(() => ({ status: 204 }));
  const { id } = await line.addWebhook({ endpoint: before.url });
  await line.emit(1);
  await line.notifyAll();
  await line.look();
  await until('it to be posted', () => before.calls.length === 1);
  await later();
  await line.webhooks.change(id, (was) => ({ webhook: { ...was, endpoint: after.url } }));
  const ids = await line.emit(1);
  await line.notifyAll();
  await line.look();
  await until('it to be posted', () => before.calls.length + after.calls.length === 2);
  expect(after.ids()).toEqual(ids);
});

it('events are posted again after Redis lost its data', async () => {
  await line.redis.flushall();
  await line.emit(3);
  expect(await line.outbox.next(10, new AbortController().signal)).toHaveLength(3);
});

it('an endpoint that hangs and has nothing more due takes no places from the others', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using hung = await openConsumer(async () => {
    await released;
    return { status: 204 };
  });
  const { promise: crowded, resolve: crowd } = Promise.withResolvers<void>();
  // Answers nobody before there are as many at once as there are other places.
  await using other = await openConsumer(async (n) => {
    if (n === 49) crowd();
    await crowded;
    return { status: 204 };
  });
  await line.addWebhook({ endpoint: hung.url, events: ['email.bounced'] });
  await line.addWebhook({ endpoint: other.url });
  await line.emit(1, { type: 'email.bounced' });
  await line.notifyAll();
  await line.look();
  await until('one to hang', () => hung.calls.length === 1);
  await line.emit(100);
  await line.notifyAll();
  await line.look();
  await until('the other to have all', () => other.calls.length === 100);
  release();
  await line.roundsEnded();
});
