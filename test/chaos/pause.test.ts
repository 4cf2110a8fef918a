/** A transport is paused on one process and holds on all: mail waits without an attempt, is counted, may be cancelled, and goes when it is resumed. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { apiClient, type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { makeTransportsFile } from '../support/transports-file.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const base = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
const hour = 3_600_000;
const isoIn = (ms: number) => new Date(Date.now() + ms).toISOString();

let smtp: TestSmtpServer;
let env: Env;
let redis: Redis;
let one: Postrider;
beforeAll(async () => {
  smtp = opened.use(await openSmtpServer());
  const to = `host: 127.0.0.1, port: ${smtp.port}, tls: none`;
  const file = opened.use(
    await makeTransportsFile(`
transports:
  main: {${to}}
  second: {${to}}
  small: {${to}, quota: 4/h}
routes:
  default: {failover: [main]}
  pair: {failover: [main, second]}
  small: {failover: [small]}
`),
  );
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  env = { TRANSPORTS_FILE: file.path, LOG_LEVEL: 'warn', REDIS_URL: server.url };
  one = opened.use(await start('api'));
});
afterAll(() => opened.disposeAsync());

const start = (roles: string, more: Env = {}) => startPostrider({ ...env, ...more, ROLES: roles });

async function send(more: object = {}): Promise<string> {
  return (await one.api('POST', '/v1/emails', { ...base, ...more })).body.id;
}

const look = async (id: string) => (await one.api('GET', `/v1/emails/${id}`)).body;
const explain = async (id: string) => (await one.api('GET', `/v1/emails/${id}/explain`)).body;
const transport = async (name: string, from = one) => (await from.api('GET', `/v1/transports/${name}`)).body;
const ask = async (name: string, what: 'pause' | 'resume') =>
  expect(await one.api('POST', `/v1/transports/${name}/${what}`)).toMatchObject({ status: 200 });

function isStatus(id: string, status: string) {
  const seen = async () => ({ email: await look(id), why: await explain(id) });
  return until(`${id} to be ${status}`, async () => (await look(id)).status === status, seen);
}

function isExplained(id: string, reason: string) {
  const seen = () => explain(id);
  const look = async () => {
    const body = await seen();
    return body.reason === reason && body;
  };
  return until(`${id} to be explained by ${reason}`, look, seen);
}

function areParked(name: string, count: number) {
  const seen = () => transport(name);
  return until(`${count} to be parked for ${name}`, async () => parkedOf(await seen()) === count, seen);
}

function parkedOf(body: object): number {
  const { parked } = body as { parked: Record<string, number> };
  return Object.values(parked).reduce((sum, count) => sum + count, 0);
}

const arrived = (id: string) => smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`).length;

it('paused on one process it holds on the others, costs no attempt, and goes when it is resumed on another', async () => {
  const { token, id: key } = (await one.api('POST', '/v1/api-keys', { name: 'ops', scopes: ['manage'] })).body;
  expect((await apiClient(one.url, token)('POST', '/v1/transports/main/pause')).body).toMatchObject({
    name: 'main',
    state: 'paused',
    paused_at: expect.any(String),
  });
  const before = smtp.mails.length;
  // Neither worker has ever heard of it: what they find first is what holds.
  await using two = await start('api,worker');
  await using _three = await start('worker');
  const ids = await Promise.all(Array.from({ length: 40 }, (_, n) => send({ lane: n % 2 ? 'bulk' : 'transactional' })));
  await areParked('main', 40);
  expect(await transport('main', two)).toMatchObject({
    state: 'paused',
    pool: { workers: 2, busy: 0 },
    parked: { transactional: 20, bulk: 20 },
  });
  expect(smtp.mails.length).toBe(before);
  const [first = ''] = ids;
  expect(await look(first)).toMatchObject({ status: 'queued', attempts: 0 });
  const { paused_at: at } = (await transport('main')) as unknown as { paused_at: string };
  expect(await explain(first)).toMatchObject({
    status: 'queued',
    reason: 'transport_paused',
    summary: `Transport main was paused at ${at} by the key ${key}. This does not count as an attempt of the email. POST /v1/transports/main/resume resumes it.`,
    moves_at: null,
    ends_at: expect.any(String),
  });
  expect((await two.api('POST', '/v1/transports/main/resume')).body).toMatchObject({ state: 'ok', paused_at: null });
  for (const id of ids) await isStatus(id, 'sent');
  expect(ids.map(arrived)).toEqual(ids.map(() => 1));
  for (const id of ids.slice(0, 3)) {
    expect(await look(id)).toMatchObject({ attempts: 1 });
    const { body } = await one.api('GET', `/v1/emails/${id}/events`);
    expect(body).toMatchObject({ transport_faults: 0, data: [{ kind: 'accepted' }, { kind: 'answered' }] });
  }
  expect(parkedOf(await transport('main'))).toBe(0);
});

it('a worker in the middle of its work notices a pause; mail of other transports goes on, and all paused transports are reported', async () => {
  await using _worker = await start('worker');
  await isStatus(await send(), 'sent');
  await ask('main', 'pause');
  const passed: string[] = [];
  await until('mail to be parked', async () => {
    passed.push(await send());
    return parkedOf(await transport('main')) > 0;
  });
  const ids = await Promise.all(Array.from({ length: 10 }, () => send()));
  for (const id of ids) await isExplained(id, 'transport_paused');
  expect(ids.map(arrived)).toEqual(ids.map(() => 0));
  const other = await send({ route: 'pair' });
  await isStatus(other, 'sent');
  expect((await look(other)).recipients).toMatchObject([{ transport: 'second' }]);
  await ask('second', 'pause');
  const stuck = await until('mail of both to be parked', async () => {
    const id = await send({ route: 'pair' });
    const reason = await until('it to go or wait', async () => {
      const seen = (await explain(id)).reason;
      return ['final', 'transport_paused'].includes(seen) && seen;
    });
    return reason === 'transport_paused' && id;
  });
  expect((await explain(stuck)).summary).toMatch(
    /^Transport main was paused .* Transport second of its route is paused too\.$/,
  );
  // Either of them lets it go.
  await ask('second', 'resume');
  await isStatus(stuck, 'sent');
  expect((await look(stuck)).recipients).toMatchObject([{ transport: 'second' }]);
  expect(ids.map(arrived)).toEqual(ids.map(() => 0));
  await ask('main', 'resume');
  for (const id of [...ids, ...passed]) await isStatus(id, 'sent');
});

it('parked mail counts as waiting: over the limit new mail is refused, and accepted again once the parked mail has gone', async () => {
  await ask('main', 'pause');
  await using strict = await start('api,worker', { MAX_WAITING_EMAILS: '5' });
  const ids = await Promise.all(Array.from({ length: 5 }, () => send()));
  await areParked('main', 5);
  const load = async () => (await strict.api('GET', '/readyz')).body.checks.find(({ name }) => name === 'load');
  await until('the line to be crossed', async () => !(await load())?.ok);
  expect((await load())?.detail).toMatch(/^5 transactional emails are waiting, the limit is 5/);
  expect(await strict.api('POST', '/v1/emails', base)).toMatchObject({ status: 503 });
  await ask('main', 'resume');
  for (const id of ids) await isStatus(id, 'sent');
  await until('there to be room', async () => (await load())?.ok);
  expect(await strict.api('POST', '/v1/emails', base)).toMatchObject({ status: 202 });
});

it('parked mail may be canceled and rescheduled, which uses no budget', async () => {
  await ask('small', 'pause');
  await using _worker = await start('worker');
  const more = { route: 'small' };
  const scheduled = () => send({ ...more, scheduled_at: isoIn(3_000) });
  const ids = await Promise.all([...Array.from({ length: 4 }, () => send(more)), scheduled(), scheduled()]);
  const [first = '', second = '', canceled = '', alsoCanceled = '', moved = '', movedTwice = ''] = ids;
  await areParked('small', 6);
  expect(await explain(moved)).toMatchObject({ reason: 'transport_paused' });
  for (const id of [canceled, alsoCanceled])
    expect(await one.api('POST', `/v1/emails/${id}/cancel`)).toMatchObject({
      status: 200,
      body: { status: 'canceled' },
    });
  for (const id of [moved, movedTwice])
    expect(await one.api('PATCH', `/v1/emails/${id}`, { scheduled_at: isoIn(hour) })).toMatchObject({ status: 200 });
  expect(await explain(canceled)).toMatchObject({ reason: 'final' });
  expect(await explain(moved)).toMatchObject({ reason: 'scheduled' });
  await ask('small', 'resume');
  for (const id of [first, second]) await isStatus(id, 'sent');
  await areParked('small', 0);
  expect(await transport('small')).toMatchObject({ rates: [{ limit: 4, window: 'hour', remaining: 2 }] });
  expect(await one.api('PATCH', `/v1/emails/${movedTwice}`, { scheduled_at: isoIn(0) })).toMatchObject({ status: 200 });
  await isStatus(movedTwice, 'sent');
  const last = await send(more);
  await isStatus(last, 'sent');
  expect(await transport('small')).toMatchObject({ rates: [{ limit: 4, window: 'hour', remaining: 0 }] });
  const over = await send(more);
  expect(await isExplained(over, 'waiting_for_budget')).toMatchObject({
    status: 'queued',
    moves_at: expect.any(String),
  });
  expect([canceled, alsoCanceled, moved, over].map(arrived)).toEqual([0, 0, 0, 0]);
  expect([first, second, movedTwice, last].map(arrived)).toEqual([1, 1, 1, 1]);
});

it('a key without `manage` may neither verify, pause nor resume', async () => {
  const { token } = (await one.api('POST', '/v1/api-keys', { name: 'app', scopes: ['send', 'read'] })).body;
  const app = apiClient(one.url, token);
  for (const what of ['verify', 'pause', 'resume'])
    expect(await app('POST', `/v1/transports/main/${what}`)).toMatchObject({ status: 403 });
  expect((await app('GET', '/v1/transports/main')).body).toMatchObject({ state: 'ok' });
  for (const what of ['verify', 'pause', 'resume'])
    expect(await one.api('POST', `/v1/transports/constructor/${what}`)).toMatchObject({ status: 404 });
  expect((await app('GET', '/v1/transports')).body.data).toMatchObject([
    { name: 'main', host: `127.0.0.1:${smtp.port}`, pool: { connections: expect.any(Number) }, rates: [] },
    { name: 'second' },
    { name: 'small', rates: [{ limit: 4, window: 'hour' }] },
  ]);
});

it('without transports none is listed', async () => {
  await using alone = await start('api', { TRANSPORTS_FILE: undefined });
  expect(await alone.api('GET', '/v1/transports')).toMatchObject({ status: 200, body: { data: [] } });
  expect(await alone.api('GET', '/v1/transports/inbox')).toMatchObject({ status: 404 });
  expect(await alone.api('POST', '/v1/transports/inbox/pause')).toMatchObject({ status: 404 });
  expect(await redis.exists(keys.transport('inbox'))).toBe(0);
});
