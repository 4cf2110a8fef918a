/** POST /v1/transports/:name/verify, in a process that has no worker: what it says of each thing that can be wrong, and what it does to a breaker. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Breaker } from '../../src/domain/transport-state.ts';
import { keys } from '../../src/store/keys.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, smtpUser, type TestSmtpServer } from '../support/smtp-server.ts';
import { makeTransportsFile } from '../support/transports-file.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const base = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
let redis: Redis;
let smtp: TestSmtpServer;
let env: Env;
let api: Postrider;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  const trusted: Certificate = opened.use(await makeCertificate());
  const other = opened.use(await makeCertificate());
  smtp = opened.use(await openSmtpServer({}, { tls: trusted }));
  const to = `host: localhost, port: ${smtp.port}`;
  const auth = (pass: string) => `auth: {user: ${smtpUser.user}, pass: ${JSON.stringify(pass)}}`;
  const file = opened.use(
    await makeTransportsFile(`
transports:
  well: {${to}, ${auth(smtpUser.pass)}, tls: {require: true, ca_file: ${trusted.file}}}
  stranger: {${to}, ${auth(smtpUser.pass)}, tls: {require: true, ca_file: ${other.file}}}
  refused: {${to}, ${auth('hunter2')}, tls: {require: true, ca_file: ${trusted.file}}}
  down: {host: 127.0.0.1, port: 1, tls: none}
routes:
  default: {failover: [well]}
`),
  );
  env = { REDIS_URL: server.url, TRANSPORTS_FILE: file.path, LOG_LEVEL: 'warn' };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
});
afterAll(() => opened.disposeAsync());

const verify = async (name: string) => (await api.api('POST', `/v1/transports/${name}/verify`)).body;

it('a verification that goes well says so, how long it took and over which TLS', async () => {
  expect(await verify('well')).toEqual({
    ...{ object: 'transport_verification', name: 'well', ok: true },
    ...{ ms: expect.any(Number), tls: 'TLSv1.3', detail: null, cause: null },
  });
  expect(smtp.connections).toBe(1);
});

it.each([
  ['refused', 'login', /535 5\.7\.8 Authentication credentials invalid/],
  ['stranger', 'tls', /self-signed certificate/],
  ['down', 'connect', /ECONNREFUSED/],
])('says of %s that it is a matter of %s, without a secret', async (name, cause, detail) => {
  const verification = await verify(name);
  expect(verification).toMatchObject({ name, ok: false, tls: null, cause, detail: expect.stringMatching(detail) });
  expect(JSON.stringify(verification)).not.toContain('hunter2');
  expect((await api.api('GET', `/v1/transports/${name}`)).body).toMatchObject({ state: 'ok' });
});

it('a verification that goes well has a worker try at once, and what waits goes out', async () => {
  await using _worker = await startPostrider({ ...env, ROLES: 'worker' });
  const seen = async () =>
    (await api.api('GET', '/v1/transports/well')).body as unknown as { pool: { workers: number } };
  // A transport that is new to a worker is probed at once, so the trouble comes when it is not.
  await until('the worker to have met its transports', async () => (await seen()).pool.workers === 1);
  const now = Date.now();
  const breaker = {
    ...{ kind: 'open', reason: '535 5.7.8 Not today', cause: 'login', since: now, tries: 9 },
    ...{ probeAt: now + 30_000, trial: 'unneeded' },
  } satisfies Breaker;
  await redis.hset(keys.transport('well'), 'breaker', JSON.stringify(breaker));
  const explain = async (id: string) => (await api.api('GET', `/v1/emails/${id}/explain`)).body.reason;
  // It looks once a second: what it has in hand until then is sent.
  const id = await until('one to be parked', async () => {
    const { body } = await api.api('POST', '/v1/emails', base);
    const isOver = (reason: string) => reason === 'final' || reason === 'transport_degraded';
    const reason = await until('it to be sent or parked', async () => {
      const found = await explain(body.id);
      return isOver(found) && found;
    });
    return reason === 'transport_degraded' && body.id;
  });
  expect((await api.api('GET', '/v1/transports/well')).body).toMatchObject({
    state: 'degraded',
    breaker: { state: 'open', cause: 'login', next_probe_at: new Date(now + 30_000).toISOString() },
    parked: { transactional: 1 },
  });
  const transports = async () =>
    (await api.api('GET', '/readyz')).body.checks.filter(({ name }) => name.startsWith('transport'));
  expect(await transports()).toEqual([{ name: 'transport well', ok: false, detail: 'the server refused the login' }]);
  await api.api('POST', '/v1/transports/down/pause');
  expect(await transports()).toContainEqual({ name: 'transport down', ok: false, detail: 'it is paused' });
  await api.api('POST', '/v1/transports/down/resume');
  expect(await verify('well')).toMatchObject({ ok: true });
  await until('it to be sent', async () => (await explain(id)) === 'final');
  expect(Date.now()).toBeLessThan(breaker.probeAt);
  expect(await transports()).toEqual([]);
  expect((await api.api('GET', '/v1/transports/well')).body).toMatchObject({ state: 'ok', pool: { workers: 1 } });
});

it('a transport that does not exist cannot be verified', async () => {
  expect(await api.api('POST', '/v1/transports/default/verify')).toMatchObject({ status: 404 });
});
