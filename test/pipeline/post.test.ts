/** From the outbox to the endpoints, over a real Redis and real sockets: everything arrives, under its own id, whatever the consumer does. */
import { Webhook } from 'standardwebhooks';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { openConsumer } from '../support/consumer.ts';
import { day, hour, minute, openPosting, type Posting, second } from '../support/posting.ts';
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
  const usual = line;
  return () => usual[Symbol.asyncDispose]();
});

const counts = (ids: readonly string[]) => Object.values(Object.groupBy(ids, (id) => id)).map((all) => all?.length);
const waiting = (id: string) => line.redis.zcard(keys.posts(id));
const up = () => ({ status: 204 });

/** In place of the usual line: one whose posts end after two seconds. */
async function openImpatientLine(): Promise<Posting> {
  const impatient = await openPosting(server, { deadlineMs: 2_000 });
  onTestFinished(() => impatient[Symbol.asyncDispose]());
  line = impatient;
  return impatient;
}

describe('ten endpoints', () => {
  it('get 300 events each, every one exactly once, one of them in batches', async () => {
    await using consumer = await openConsumer(up);
    const batched = await line.addWebhook({ endpoint: `${consumer.url}?n=0`, batch: { max_events: 30 } });
    for (let n = 1; n < 10; n++) await line.addWebhook({ endpoint: `${consumer.url}?n=${n}` });
    const ids = await line.emit(300);
    await line.notifyAll();
    await line.forwardAll();
    const batches = consumer.calls.filter(({ body }) => body.startsWith('['));
    const singles = consumer.ids().filter((id) => id.startsWith('ev_'));
    expect(singles.toSorted()).toEqual(ids.flatMap((id) => Array(9).fill(id)).toSorted());
    expect(batches).toHaveLength(10);
    const groups = batches.map(({ body }) => JSON.parse(body).map(({ id }: { id: string }) => ids.indexOf(id)));
    expect(groups.toSorted(([a], [b]) => a - b).flat()).toEqual(ids.map((_, index) => index));
    expect(new Set(batches.map(({ id }) => id)).size).toBe(10);
    const [first] = batches;
    expect(() => new Webhook(batched.secret).verify(first?.body ?? '', first?.headers as never)).not.toThrow();
    expect(await line.redis.keys('pr:{0}:post*')).toEqual([]);
  });
});

describe('an endpoint that is down for a day', () => {
  it('gets everything in the end, and meanwhile is only asked now and then whether it is back', async () => {
    let isDown = true;
    await using consumer = await openConsumer(() => ({ status: isDown ? 503 : 204 }));
    const { id } = await line.addWebhook({ endpoint: consumer.url });
    const ids = await line.emit(300);
    await line.notifyAll();
    await line.forwardAll();
    await line.goOn(day, 10 * minute);
    // A few at first, then one each time somebody looks.
    expect(consumer.calls.length).toBeGreaterThan(144);
    expect(consumer.calls.length).toBeLessThanOrEqual(2 * 50 + 144);
    expect(await line.posts.failingSince([id])).toEqual([expect.any(Number)]);
    isDown = false;
    const before = consumer.calls.length;
    await line.goOn(day, 10 * minute);
    expect(consumer.ids().slice(before).toSorted()).toEqual(ids.toSorted());
    expect([await waiting(id), await line.posts.failingSince([id])]).toEqual([0, [null]]);
  });

  it('has one POST in hand in the whole fleet once it failed five times in a row', async () => {
    let isHanging = false;
    await using consumer = await openConsumer(() => (isHanging ? null : { status: 500 }));
    const [first, other] = [await openImpatientLine(), await openImpatientLine()];
    line = first;
    await line.addWebhook({ endpoint: consumer.url });
    await line.emit(200);
    await line.notifyAll();
    await line.forwardAll();
    // Those in hand when it began to fail.
    const before = consumer.calls.length;
    expect(before).toBeLessThanOrEqual(2 * 50);
    isHanging = true;
    for (const worker of [line, other]) worker.pass(hour);
    await Promise.all([line.forwardAll(), other.forwardAll()]);
    expect(consumer.calls.length).toBe(before + 1);
  });
});

describe('an event', () => {
  it('is tried on the schedule, under the same webhook-id, until that is over, and has failed then', async () => {
    await using consumer = await openConsumer(() => ({ status: 500 }));
    const { id } = await line.addWebhook({ endpoint: consumer.url });
    const start = line.now;
    const times: number[] = [];
    await line.emit(1);
    await line.notifyAll();
    for (let count = -1; count < consumer.calls.length; ) {
      count = consumer.calls.length;
      await line.forwardAll();
      if (consumer.calls.length > count) times.push(line.now - start);
      await line.passToNext();
    }
    const hours = [0, 0.0014, 0.0847, 0.5847, 2.5847, 7.5847, 17.5847, 31.5847, 51.5847, 75.5847];
    expect(times.map((ms) => ms / hour)).toEqual(hours.map((h) => expect.closeTo(h, 1)));
    expect(counts(consumer.ids())).toEqual([10]);
    expect(line.reports.at(-1)).toMatchObject({ decision: 'failed', delivery: { status: 'failed', attempts: 10 } });
    expect(await waiting(id)).toBe(0);
  });

  it('that is no longer stored is reported as lost, and the others arrive', async () => {
    await using consumer = await openConsumer(up);
    await line.addWebhook({ endpoint: consumer.url });
    await line.emit(1);
    await line.notifyAll();
    await line.redis.xtrim(keys.outbox, 'MAXLEN', 0);
    const [kept = ''] = await line.emit(1);
    await line.notifyAll();
    await line.forwardAll();
    expect(consumer.ids()).toEqual([kept]);
    const lost = line.reports.find(({ decision }) => decision === 'failed');
    expect(lost?.delivery.reason).toMatch(/RETENTION_EVENTS/);
  });

  it('that a worker had in hand when it died comes again when its lease ends, not before', async () => {
    await using consumer = await openConsumer(up);
    const webhook = await line.addWebhook({ endpoint: consumer.url });
    await line.emit(3);
    await line.notifyAll();
    const dead = await line.posts.take(webhook, { limit: 2, leaseMs: 30 * second, longestWaitMs: day, now: line.now });
    expect(dead.parcels).toHaveLength(2);
    await line.forwardAll();
    expect(consumer.calls).toHaveLength(1);
    line.pass(30 * second);
    await line.forwardAll();
    expect(counts(consumer.ids())).toEqual([1, 1, 1]);
  });

  it('that outlasted its lease is reported once, by the worker that posts it after that', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await using consumer = await openConsumer(async (n) => {
      if (n === 1) await released;
      return { status: 204 };
    });
    await line.addWebhook({ endpoint: consumer.url });
    await line.emit(1);
    await line.notifyAll();
    await line.look();
    await until('the POST to be under way', () => consumer.calls.length === 1);
    await using other = await openPosting(server);
    other.pass(minute);
    await other.forwardAll();
    release();
    await line.roundsEnded();
    expect([consumer.calls.length, line.reports.length, other.reports.length]).toEqual([2, 0, 1]);
  });
});

describe('one endpoint that hangs', () => {
  it('does not keep another waiting, and neither do three that take every place there is', async () => {
    await using hanging = await openConsumer(() => null);
    await using prompt = await openConsumer(up);
    for (let n = 0; n < 3; n++) await line.addWebhook({ endpoint: `${hanging.url}?n=${n}` });
    await line.addWebhook({ endpoint: prompt.url });
    // More than the places a process has.
    await line.emit(100);
    await line.notifyAll();
    await line.look();
    await until('the prompt one to have all', () => prompt.calls.length === 100);
    // All that was posted to the others still hangs.
    expect(line.reports.filter(({ decision }) => decision !== 'delivered')).toEqual([]);
    expect(hanging.calls.length).toBeGreaterThanOrEqual(3);
    await hanging[Symbol.asyncDispose]();
    await line.roundsEnded();
    expect(line.reports.filter(({ result }) => result?.status === 0).length).toBeGreaterThanOrEqual(3);
  });
});

describe('an answer', () => {
  it('410 disables the endpoint at once, and the other endpoints receive one event about it', async () => {
    await using gone = await openConsumer(() => ({ status: 410 }));
    await using operators = await openConsumer(up);
    const { id } = await line.addWebhook({ endpoint: gone.url, events: ['email.sent', 'webhook.disabled'] });
    await line.addWebhook({ endpoint: operators.url, events: ['webhook.disabled'] });
    await line.emit(50);
    await line.notifyAll();
    await line.forwardAll();
    expect(await line.webhooks.get(id)).toMatchObject({ status: 'disabled', disabledReason: 'gone' });
    expect(await waiting(id)).toBe(0);
    await line.emit(1);
    await line.notifyAll();
    await line.forwardAll();
    expect(gone.calls.length).toBeLessThanOrEqual(50);
    expect(operators.calls.map(({ body }) => JSON.parse(body))).toMatchObject([
      { type: 'webhook.disabled', data: { webhook_id: id, endpoint: gone.url, reason: 'gone' } },
    ]);
  });

  it('429 with Retry-After leaves the whole endpoint alone for as long as it says', async () => {
    await using consumer = await openConsumer((n) =>
      n === 1 ? { status: 429, headers: { 'retry-after': '600' } } : { status: 204 },
    );
    await line.addWebhook({ endpoint: consumer.url });
    await line.emit(1);
    await line.notifyAll();
    await line.forwardAll();
    await line.emit(5);
    await line.notifyAll();
    await line.goOn(590 * second, 59 * second);
    expect(consumer.calls).toHaveLength(1);
    await line.goOn(20 * second, 20 * second);
    expect(consumer.calls).toHaveLength(7);
    expect(consumer.ids().filter((id) => id === consumer.ids()[0])).toHaveLength(2);
  });

  it('that never is a success for five days disables the endpoint; one success within them does not', async () => {
    let n = 0;
    await using dead = await openConsumer(() => ({ status: 500 }));
    await using flaky = await openConsumer(() => ({ status: n++ === 60 ? 200 : 500 }));
    const [one, two] = [await line.addWebhook({ endpoint: dead.url }), await line.addWebhook({ endpoint: flaky.url })];
    for (let days = 0; days < 6; days++) {
      await line.emit(20);
      await line.notifyAll();
      await line.goOn(day, hour);
    }
    expect(await line.webhooks.get(one.id)).toMatchObject({ status: 'disabled', disabledReason: 'failing' });
    expect(await line.webhooks.get(two.id)).toMatchObject({ status: 'enabled' });
  });
});

describe('a filter', () => {
  it('passes events that fit their email, and events without an email', async () => {
    await using consumer = await openConsumer(up);
    await line.addWebhook({
      endpoint: consumer.url,
      events: ['email.sent', 'transport.degraded'],
      filter: { lane: 'bulk' },
    });
    await line.emit(3);
    await line.emitPlain({
      id: 'ev_t',
      type: 'transport.degraded',
      at: 1,
      transport: 'ses',
      reason: null,
      cause: null,
    });
    await line.notifyAll();
    await line.forwardAll();
    expect(consumer.ids()).toEqual(['ev_t']);
  });
});

describe('notify', () => {
  it('hands an event over once, whichever worker acknowledges it first', async () => {
    await using consumer = await openConsumer(up);
    const { id } = await line.addWebhook({ endpoint: consumer.url });
    await line.emit(1);
    await line.notifyAll();
    await line.forwardAll();
    const [place = ''] = (await line.redis.xrange(keys.outbox, '-', '+')).map(([at]) => at);
    await line.posts.hand([{ place, webhookIds: [id] }], line.now);
    await line.forwardAll();
    expect(consumer.calls).toHaveLength(1);
  });

  it('acknowledges events that no endpoint wants without reading them', async () => {
    await line.redis.xadd(keys.outbox, '*', 'event', 'not JSON');
    await line.notifyAll();
    const [group] = (await line.redis.xinfo('GROUPS', keys.outbox)) as unknown[][];
    expect(group?.[group.indexOf('pending') + 1]).toBe(0);
  });
});
