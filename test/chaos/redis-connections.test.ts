/** Every way to reach Redis: TLS with a CA of one's own, a user who may no more than docs/redis.md says, a socket, a database by its number. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { aclRule } from '../support/acl-rule.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { freePort } from '../support/free-port.ts';
import { startPostrider } from '../support/postrider.ts';
import { openReceiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let certificate: Certificate;
let server: TestRedis;
let tlsPort: number;
let redis: Redis;
beforeAll(async () => {
  certificate = opened.use(await makeCertificate());
  tlsPort = await freePort();
  server = opened.use(
    await openTestRedis({
      'tls-port': String(tlsPort),
      'tls-cert-file': certificate.file,
      'tls-key-file': certificate.keyFile,
      'tls-auth-clients': 'no',
    }),
  );
  redis = server.connect();
  await redis.call('ACL', [...aclRule(), 'resetpass', '>p@ss/word']);
});
afterAll(() => opened.disposeAsync());

const user = `postrider:${encodeURIComponent('p@ss/word')}`;

/** Which databases hold something. */
async function databases(): Promise<string[]> {
  return [...(await redis.info('keyspace')).matchAll(/^db(\d+):/gm)].map(([, number = '']) => number);
}

it.each([
  ['TLS, its own CA, user and database', () => `rediss://${user}@localhost:${tlsPort}/3`, '3'],
  ['a socket, user and database', () => `unix://${user}@localhost${server.path}?db=2`, '2'],
  ['a socket alone', () => server.url, '0'],
])('over %s everything works', async (_, url, database) => {
  await redis.flushall();
  await redis.call('ACL', ['LOG', 'RESET']);
  await using receiver = await openReceiver();
  const REDIS_CA_FILE = url().startsWith('rediss:') ? certificate.file : '';
  const env = { REDIS_URL: url(), REDIS_CA_FILE, REQUIRE_DURABLE_REDIS: 'true' };
  const quick = { RETENTION_CONTENT: '0s', RETENTION_RECORDS: '0s' };
  await using postrider = await startPostrider({ ...env, ...quick, WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true' });
  const { api } = postrider;
  const hook = { endpoint: receiver.url, events: ['email.delivered'] };
  expect((await api('POST', '/v1/webhooks', hook, { 'idempotency-key': 'w' })).status).toBe(201);
  expect((await api('POST', '/v1/api-keys', { name: 'k' })).status).toBe(201);
  const email = { from: 'a@example.com', subject: 'Hi', text: 'Hello' };
  for (const to of ['delivered@sandbox.invalid', 'b@example.org'])
    expect((await api('POST', '/v1/emails', { ...email, to }, { 'idempotency-key': to })).status).toBe(202);
  expect((await api('GET', '/v1/emails')).status).toBe(200);
  expect((await api('GET', '/v1/transports')).status).toBe(200);
  await until('the webhook to come', () => receiver.hooks.length > 0);
  await until('both to be forgotten', async () => (await api('GET', '/v1/emails')).body.data.length === 0);
  expect(await databases()).toEqual([database]);
  expect(await redis.call('ACL', ['LOG'])).toEqual([]);
  expect(postrider.output()).not.toMatch(/NOPERM|trouble/);
  postrider.kill('SIGTERM');
  expect(await postrider.ended).toBe(0);
});

it('an untrusted certificate, a wrong password and a missing permission are reported at the start, without a password', async () => {
  const start = (REDIS_URL: string) => startPostrider({ REDIS_URL, ROLES: 'api' });
  await expect(start(`rediss://${user}@localhost:${tlsPort}`)).rejects.toThrow(
    /could not start: Redis at rediss:\/\/localhost:\d+ cannot be reached: [\w -]*certificate\. Set REDIS_CA to /,
  );
  const failure = await start(`unix://postrider:wrong-one@localhost${server.path}`).catch((error: Error) => error);
  expect(String(failure)).toMatch(/could not start: .*WRONGPASS/);
  expect(String(failure)).not.toMatch(/wrong-one|postrider:/);
  await redis.call('ACL', ['SETUSER', 'discreet', 'on', '>x', '~*', '&*', '+@all', '-config']);
  await using postrider = await start(`unix://discreet:x@localhost${server.path}`);
  expect(postrider.output()).toMatch(/does not let us ask how often it is synced/);
  await redis.call('ACL', ['SETUSER', 'lame', 'on', '>lame', '~*', '+@connection']);
  await expect(start(`unix://lame:lame@localhost${server.path}`)).rejects.toThrow(/could not start: .*info/i);
});
