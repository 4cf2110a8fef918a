/** What Redis guarantees is said at the start and by /readyz, and one that keeps less than it must is not trusted with mail. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { numberOf, readSamples } from '../support/exposition.ts';
import { type ApiClient, startPostrider } from '../support/postrider.ts';
import { failToSave, openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const email = { from: 'a@example.com', to: 'delivered@sandbox.invalid', subject: 'Hi', text: 'Hello' };

async function durability(api: ApiClient) {
  const { status, body } = await api('GET', '/readyz');
  return { status, ...body.checks.find(({ name }) => name === 'durability') };
}

/** Whether transactional mail is taken, as an alert sees it that watches a service to which nobody sends. */
async function takesMail(url: string) {
  // While a connection is made anew, Redis is away for a moment.
  const samples = await until('Redis to be up', async () => {
    const seen = readSamples(await (await fetch(`${url}/metrics`)).text());
    return numberOf(seen, 'postrider_redis_up') === 1 && seen;
  });
  return numberOf(samples, 'postrider_taking_mail', { lane: 'transactional' });
}

it('a Redis that keeps every 202 is reported as such, and satisfies REQUIRE_DURABLE_REDIS', async () => {
  await using redis = await openTestRedis();
  await using postrider = await startPostrider({ REDIS_URL: redis.url, REQUIRE_DURABLE_REDIS: 'true' });
  const words = /a 202 survives a crash of Redis and of its machine/;
  expect(await durability(postrider.api)).toMatchObject({
    status: 200,
    ok: true,
    detail: expect.stringMatching(words),
  });
  expect(postrider.output()).toMatch(words);
  expect(await takesMail(postrider.url)).toBe(1);
});

it('a Redis that keeps nothing is accepted with a warning, and refused when REQUIRE_DURABLE_REDIS is set', async () => {
  await using redis = await openTestRedis({ appendonly: 'no' });
  await using postrider = await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' });
  const words = /nothing is guaranteed/;
  expect(await durability(postrider.api)).toMatchObject({
    status: 200,
    ok: false,
    detail: expect.stringMatching(words),
  });
  expect(postrider.output()).toMatch(words);
  for (const ROLES of ['api', 'worker'])
    await expect(startPostrider({ REDIS_URL: redis.url, REQUIRE_DURABLE_REDIS: 'true', ROLES })).rejects.toThrow(
      /could not start: REQUIRE_DURABLE_REDIS is set, and of (?:Redis|Valkey) \S+ nothing is guaranteed/,
    );
});

it('no process begins with a replica', async () => {
  await using redis = await openTestRedis({ replicaof: '127.0.0.1 1' });
  for (const ROLES of ['api', 'worker'])
    await expect(startPostrider({ REDIS_URL: redis.url, ROLES })).rejects.toThrow(
      /could not start: (?:Redis|Valkey) \S+ is a replica, which takes no writes: give REDIS_URL its primary/,
    );
});

it('when another server takes its place that keeps less, it is noticed at once and no new mail is trusted to it', async () => {
  await using server = await openTestRedis();
  await using postrider = await startPostrider({ REDIS_URL: server.url, REQUIRE_DURABLE_REDIS: 'true', ROLES: 'api' });
  const { api } = postrider;
  expect((await api('POST', '/v1/emails', email)).status).toBe(202);
  const redis = server.connect();
  await redis.config('SET', 'appendfsync', 'everysec');
  await redis.call('CLIENT', ['KILL', 'TYPE', 'normal']);
  const words = /REQUIRE_DURABLE_REDIS is set, and of (?:Redis|Valkey) \S+ up to one second/;
  const noticed = await until('it to be noticed', async () => {
    const seen = await durability(api);
    return words.test(seen.detail ?? '') && seen;
  });
  expect(noticed).toMatchObject({ status: 503, ok: false });
  expect(await takesMail(postrider.url)).toBe(0);
  const refusal = async () => {
    const { status, body } = await api('POST', '/v1/emails', email);
    return status === 503 && words.test(body.detail);
  };
  await until('mail to be refused', refusal);

  await redis.config('SET', 'appendfsync', 'always');
  await redis.call('CLIENT', ['KILL', 'TYPE', 'normal']);
  await until('mail to be taken again', async () => (await api('POST', '/v1/emails', email)).status === 202);
  expect(await takesMail(postrider.url)).toBe(1);
});

it('a Redis that turns into a replica is noticed at the first write that it refuses, and so is its return', async () => {
  await using server = await openTestRedis();
  await using postrider = await startPostrider({ REDIS_URL: server.url, ROLES: 'api' });
  const { api } = postrider;
  const redis = server.connect();
  await redis.replicaof('127.0.0.1', '1');
  const noticed = await until('it to be noticed', async () => {
    expect((await api('POST', '/v1/emails', email)).status).toBe(503);
    const seen = await durability(api);
    return /is a replica/.test(seen.detail ?? '') && seen;
  });
  expect(noticed).toMatchObject({ ok: false });
  expect(await takesMail(postrider.url)).toBe(0);
  await postrider.printed(/is a replica/);
  await redis.replicaof('NO', 'ONE');
  await until('mail to be taken again', async () => (await api('POST', '/v1/emails', email)).status === 202);
  await until('its word to hold again', async () => (await durability(api)).ok);
});

it.each<[string, RegExp, (server: TestRedis, redis: Redis) => Promise<() => Promise<unknown>>]>([
  [
    'saves no snapshot',
    /its last snapshot failed/,
    async (server, redis) => {
      await redis.config('SET', 'save', '3600 1');
      const unblock = await failToSave(server, redis);
      return async () => {
        await unblock();
        await redis.bgsave();
      };
    },
  ],
  [
    'lacks replicas',
    /fewer replicas follow it/,
    async (_server, redis) => {
      await redis.config('SET', 'min-replicas-to-write', '1');
      return () => redis.config('SET', 'min-replicas-to-write', '0');
    },
  ],
])(
  'a Redis that %s and so takes no writes is noticed at the first one that it refuses, and so is its return',
  async (_, words, trouble) => {
    await using server = await openTestRedis();
    await using postrider = await startPostrider({ REDIS_URL: server.url, ROLES: 'api' });
    const { api, url } = postrider;
    const mend = await trouble(server, server.connect());
    expect((await api('POST', '/v1/emails', email)).status).toBe(503);
    await until('it to be noticed', async () => (await takesMail(url)) === 0);
    expect(await durability(api)).toMatchObject({ ok: false, detail: expect.stringMatching(words) });
    await mend();
    await until('it to be noticed as well', async () => (await takesMail(url)) === 1);
    expect((await api('POST', '/v1/emails', email)).status).toBe(202);
  },
);
