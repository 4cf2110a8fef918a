/** The delivery log and replay over a real process: what was posted, what came back, filters, pages, and what goes out again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lostDelivery } from '../../src/domain/delivery.ts';
import { packDelivery } from '../../src/store/deliveries.ts';
import { keys } from '../../src/store/keys.ts';
import { type Consumer, openConsumer } from '../support/consumer.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let postrider: Postrider;
let consumer: Consumer;
let server: TestRedis;
let webhook: string;
let status = 503;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  consumer = opened.use(await openConsumer(() => ({ status, body: status === 503 ? 'database is locked' : 'thanks' })));
  const env = { REDIS_URL: server.url, WEBHOOK_SCHEDULE: '100ms,1h' };
  postrider = opened.use(await startPostrider(env));
  const given = {
    endpoint: consumer.url,
    events: ['email.sent', 'email.bounced'],
    headers: { 'X-Gateway-Key': 'hunter2' },
  };
  webhook = (await postrider.api('POST', '/v1/webhooks', given)).body.id;
  await send('bounced');
  await logged('?status=pending', (all) => all[0]?.attempts === 2);
  status = 200;
  for (let n = 0; n < 3; n++) await send('delivered');
  await logged('?status=success', (all) => all.length === 3);
});
afterAll(() => opened.disposeAsync());

const send = (name: string) =>
  postrider.api('POST', '/v1/emails', { from: 'a@x.co', to: `${name}@sandbox.invalid`, subject: 's', text: 't' });

type Entry = { id: string; status: string; message_id: string; attempts: number; event_types: string[] };
const list = async (query = '') => {
  const { status: answered, body } = await postrider.api('GET', `/v1/webhooks/${webhook}/deliveries${query}`);
  expect(answered).toBe(200);
  return body as unknown as { data: Entry[]; has_more: boolean };
};
const logged = (query: string, isThere: (all: Entry[]) => boolean) =>
  until('the log', async () => {
    const { data } = await list(query);
    return isThere(data) && data;
  });
const replay = (body: object, key?: string) =>
  postrider.api('POST', `/v1/webhooks/${webhook}/replay`, body, key === undefined ? {} : { 'idempotency-key': key });

describe('the log', () => {
  it('lists by status, type and event, in pages, newest first', async () => {
    const { data: all } = await list();
    expect(all.map(({ id }) => id)).toEqual(
      all
        .map(({ id }) => id)
        .toSorted()
        .reverse(),
    );
    expect((await list('?event_type=email.bounced')).data).toMatchObject([{ status: 'pending', attempts: 2 }]);
    const [last] = all;
    expect((await list(`?event_id=${last?.message_id}`)).data).toEqual([last]);
    expect((await list('?event_id=ev_none')).data).toEqual([]);
    const first = await list('?limit=2');
    expect([first.has_more, first.data]).toEqual([true, all.slice(0, 2)]);
    expect((await list(`?limit=10&after=${first.data[1]?.id}`)).data).toEqual(all.slice(2));
    expect((await list(`?limit=1&before=${all[2]?.id}`)).data).toEqual([all[1]]);
  });

  it('shows each try with what was posted and what came back, and nothing secret', async () => {
    const [{ id = '', message_id = '' } = {}] = (await list('?status=pending')).data;
    const { body } = await postrider.api('GET', `/v1/webhooks/${webhook}/deliveries/${id}`);
    const call = consumer.calls.find((one) => one.id === message_id);
    expect(body).toMatchObject({
      status: 'pending',
      last_status: 503,
      next_attempt_at: expect.stringMatching(/Z$/),
      request: {
        body: call?.body,
        headers: {
          'X-Gateway-Key': '***',
          'webhook-id': message_id,
          'webhook-signature': 'v1,***',
          'svix-signature': 'v1,***',
        },
      },
      tries: [1, 2].map(() => ({ status: 503, detail: 'answered 503', response: 'database is locked' })),
    });
    expect(JSON.stringify(body)).not.toMatch(/hunter2|whsec_/);
  });

  it('shows the answer to a delivery that succeeded', async () => {
    const [{ id = '' } = {}] = (await list('?status=success')).data;
    const { body } = await postrider.api('GET', `/v1/webhooks/${webhook}/deliveries/${id}`);
    expect(body).toMatchObject({ status: 'success', tries: [{ status: 200, detail: null, response: 'thanks' }] });
  });

  it('shows no request for an event that was lost before its first try', async () => {
    const lost = lostDelivery('1764063012345-0', null);
    const given = { endpoint: consumer.url, events: ['webhook.disabled'] };
    const { id } = (await postrider.api('POST', '/v1/webhooks', given)).body;
    const redis = server.connect();
    await redis.hset(keys.deliveries(id), lost.id, packDelivery(lost));
    await redis.zadd(keys.deliveriesBy(id, 'failed'), 1_764_063_012_345, lost.id);
    const { body } = await postrider.api('GET', `/v1/webhooks/${id}/deliveries/${lost.id}`);
    expect(body).toMatchObject({ status: 'failed', attempts: 0, message_id: null, request: null, tries: [] });
    const log = await postrider.api('GET', `/v1/webhooks/${id}/deliveries`);
    expect(log.body.data).toMatchObject([{ message_id: null }]);
  });

  it.each(['deliveries/dl_0_0', 'deliveries/x'])('has no %s', async (path) => {
    expect((await postrider.api('GET', `/v1/webhooks/${webhook}/${path}`)).status).toBe(404);
    expect((await postrider.api('GET', `/v1/webhooks/wh_1/${path}`)).status).toBe(404);
  });
});

describe('replay', () => {
  it('of a pending delivery goes out now, by its event, its delivery or its time, under the same id', async () => {
    const [{ id: delivery_id = '', message_id: event_id = '' } = {}] = (await list('?event_type=email.bounced')).data;
    const times = () => consumer.ids().filter((one) => one === event_id).length;
    expect(times()).toBe(2);
    const since = new Date(Date.now() - 3_600_000).toISOString();
    for (const [n, body] of [{ delivery_id }, { event_id }, { since, types: ['email.bounced'] }].entries()) {
      expect(await replay(body)).toMatchObject({ status: 202, body: { count: 1, has_more: false, next_since: null } });
      await until('it to come again', () => times() === 3 + n);
      await logged('?event_type=email.bounced', ([seen]) => seen?.status === 'success' && seen.attempts === 3 + n);
    }
  });

  it('under an Idempotency-Key goes out once, and a repeat is answered as the first was', async () => {
    const [{ message_id: event_id = '' } = {}] = (await list('?event_type=email.bounced')).data;
    const attempts = async () => (await list('?event_type=email.bounced')).data[0]?.attempts ?? 0;
    const before = await attempts();
    const answers = [await replay({ event_id }, 'once'), await replay({ event_id }, 'once')];
    expect(answers.map(({ status, headers }) => [status, headers['idempotent-replayed']])).toEqual([
      [202, undefined],
      [202, 'true'],
    ]);
    expect(answers[1]?.body).toEqual(answers[0]?.body);
    expect(answers[0]?.body).toMatchObject({ count: 1, has_more: false, next_since: null });
    expect((await replay({ event_id: 'ev_other' }, 'once')).status).toBe(422);
    await logged('?event_type=email.bounced', ([seen]) => seen?.status === 'success' && seen.attempts === before + 1);
    expect((await replay({ event_id: 'ev_other' }, 'free')).status).toBe(404);
    expect((await replay({ event_id }, 'free')).status).toBe(202);
    await logged('?event_type=email.bounced', ([seen]) => seen?.status === 'success' && seen.attempts === before + 2);
  });

  it.each([
    [{}, 422],
    [{ since: 'yesterday' }, 422],
    [{ since: '2026-01-01T10:00:00+0100', until: '2026-01-01T10:00:00+01' }, 202],
    [{ event_id: 'ev_1', delivery_id: 'dl_1' }, 422],
    [{ event_id: 'ev_1', types: ['email.sent'] }, 422],
    [{ event_id: 'ev_1' }, 404],
    [{ delivery_id: 'dl_1' }, 404],
  ])('of %j is answered %i', async (body, answered) => {
    expect((await replay(body)).status).toBe(answered);
  });

  it('to an endpoint that is disabled is a conflict', async () => {
    const path = `/v1/webhooks/${webhook}`;
    await postrider.api('PATCH', path, { status: 'disabled' });
    expect((await replay({ since: new Date().toISOString() })).status).toBe(409);
    await postrider.api('PATCH', path, { status: 'enabled' });
  });
});
