/** An endpoint that is changed while something waits for it or is under way, over a real Redis and real sockets. */
import { beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { openConsumer } from '../support/consumer.ts';
import { day, minute, openPosting, type Posting } from '../support/posting.ts';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let line: Posting;
useTestRedis((own) => {
  server = own;
});
beforeEach(async () => {
  line = await openPosting(server);
  return () => line[Symbol.asyncDispose]();
});

async function move(id: string, endpoint: string): Promise<void> {
  await line.webhooks.change(id, (was) => ({ webhook: { ...was, endpoint } }));
}

/** As a process of the last version does it, which does not count changes, while a fleet is replaced. */
async function moveUncounted(id: string, endpoint: string): Promise<void> {
  const stored = JSON.parse((await line.redis.hget(keys.webhooks, id)) ?? '');
  await line.redis.hset(keys.webhooks, id, JSON.stringify({ ...stored, endpoint }));
}

describe('an endpoint', () => {
  it.each([
    ['moved', move],
    ['moved by a process that counts no changes', moveUncounted],
  ])('that was %s is not disabled by a 410 from where it was: where it is gets what was posted', async (_, moveTo) => {
    const { promise: moved, resolve: answer } = Promise.withResolvers<void>();
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
    await moveTo(id, after.url);
    answer();
    await until('the POST to the new place', () => after.calls.length === 1);
    await line.roundsEnded();
    expect(after.ids()).toEqual(ids);
    expect(await line.webhooks.get(id)).toMatchObject({ status: 'enabled', endpoint: after.url });
  });

  it('that was disabled and enabled again is not disabled by a 410 to what was posted before', async () => {
    const { promise: enabled, resolve: enable } = Promise.withResolvers<void>();
    await using consumer = await openConsumer(async (n) => {
      await enabled;
      return { status: n === 1 ? 410 : 204 };
    });
    const { id } = await line.addWebhook({ endpoint: consumer.url });
    const ids = await line.emit(1);
    await line.notifyAll();
    await line.look();
    await until('the POST to be under way', () => consumer.calls.length === 1);
    await line.webhooks.change(id, (was) => ({
      webhook: { ...was, status: 'disabled', disabledReason: 'by_request' },
    }));
    await line.webhooks.change(id, (was) => ({ webhook: { ...was, status: 'enabled', disabledReason: null } }));
    enable();
    await until('the POST to be repeated', () => consumer.calls.length === 2);
    await line.roundsEnded();
    expect(consumer.ids()).toEqual([...ids, ...ids]);
    expect(await line.webhooks.get(id)).toMatchObject({ status: 'enabled' });
  });

  it('that was moved is not taken for one that fails by what comes back from where it was', async () => {
    const { promise: moved, resolve: answer } = Promise.withResolvers<void>();
    await using before = await openConsumer(async () => {
      await moved;
      return { status: 503, headers: { 'retry-after': '600' } };
    });
    await using after = await openConsumer(() => ({ status: 204 }));
    const { id } = await line.addWebhook({ endpoint: before.url });
    await line.emit(10);
    await line.notifyAll();
    await line.look();
    await until('the POSTs to be under way', () => before.calls.length === 10);
    await move(id, after.url);
    await line.posts.renew(id, line.now);
    answer();
    await line.roundsEnded();
    expect(await line.posts.failingSince([id])).toEqual([null]);
    const ids = await line.emit(2);
    await line.notifyAll();
    await line.forwardAll();
    expect(after.ids().toSorted()).toEqual(ids.toSorted());
  });

  it('that succeeded since a POST began is not disabled by what failed before', async () => {
    const { promise: succeeded, resolve: fail } = Promise.withResolvers<void>();
    await using consumer = await openConsumer(async (n) => {
      if (n === 3) await succeeded;
      return { status: n === 2 ? 204 : 500 };
    });
    const { id } = await line.addWebhook({ endpoint: consumer.url });
    await line.emit(1);
    await line.notifyAll();
    await line.forwardAll();
    line.pass(6 * day);
    await line.emit(1);
    await line.notifyAll();
    await line.look();
    await until('one to have succeeded', () => line.reports.some(({ decision }) => decision === 'delivered'));
    fail();
    await line.roundsEnded();
    expect(await line.webhooks.get(id)).toMatchObject({ status: 'enabled' });
    expect(await line.posts.failingSince([id])).toEqual([line.now]);
    expect(line.reports.at(-1)).toMatchObject({ decision: 'again' });
  });

  it('that comes to take batches gets in one what was tried by itself, and no delivery is left that would never end', async () => {
    let status = 500;
    await using consumer = await openConsumer(() => ({ status }));
    const { id } = await line.addWebhook({ endpoint: consumer.url });
    const ids = await line.emit(3);
    await line.notifyAll();
    await line.forwardAll();
    await line.webhooks.change(id, (was) => ({ webhook: { ...was, batch: { maxEvents: 10, maxWaitMs: 0 } } }));
    status = 204;
    line.pass(minute);
    await line.forwardAll();
    const told = consumer.calls
      .slice(3)
      .flatMap(({ body }) => JSON.parse(body).map((event: { id: string }) => event.id));
    expect(told.toSorted()).toEqual(ids.toSorted());
    const listed = async (of: 'pending' | 'failed') =>
      (await line.deliveries.page(id, { status: of, limit: 10 })).page.map(({ webhookId, nextAt }) => [
        webhookId,
        nextAt,
      ]);
    expect(await listed('pending')).toEqual([]);
    expect((await listed('failed')).toSorted()).toEqual(ids.map((event) => [event, null]).toSorted());
  });
});
