/** DELETE /v1/webhooks/:id over a real process: by whom, what goes with it, and what comes of a delivery that is in hand meanwhile. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { openConsumer, type Reply } from '../support/consumer.ts';
import { apiClient, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let redis: Redis;
let postrider: Postrider;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  redis = server.connect();
  postrider = opened.use(await startPostrider({ REDIS_URL: server.url, ROLES: 'api' }));
});
afterAll(() => opened.disposeAsync());

async function make(endpoint = 'https://app.example.com/hooks'): Promise<string> {
  return (await postrider.api('POST', '/v1/webhooks', { endpoint, events: ['email.sent'] })).body.id;
}
const remove = (id: string, api = postrider.api) => api('DELETE', `/v1/webhooks/${id}`);

describe('an endpoint', () => {
  it('is removed once: from then on it is not there, whatever is asked of it, and the others are', async () => {
    const [gone, other] = [await make(), await make()];
    expect(await remove(gone)).toMatchObject({ status: 200, body: { object: 'webhook', id: gone, deleted: true } });
    const asked = [
      ...(['', '/deliveries', '/deliveries/dl_1_0'] as const).map((path) => ['GET', path] as const),
      ...(['/test', '/rotate-secret'] as const).map((path) => ['POST', path] as const),
      ['PATCH', '', { status: 'enabled' }] as const,
      ['POST', '/replay', { since: new Date(0).toISOString() }] as const,
      ['DELETE', ''] as const,
    ];
    for (const [method, path, body] of asked) {
      const answer = await postrider.api(method, `/v1/webhooks/${gone}${path}`, body);
      expect([method, path, answer.status, answer.body.name]).toEqual([method, path, 404, 'not_found']);
    }
    expect((await postrider.api('GET', '/v1/webhooks')).body.data.map(({ id }) => id)).toEqual([other]);
    expect(await remove('wh_never')).toMatchObject({ status: 404, body: { name: 'not_found' } });
    await remove(other);
  });

  it.each([
    { scopes: ['send', 'read'] },
    { scopes: ['manage'], from_domains: ['shop.example'] },
    { scopes: ['manage'], lanes: ['bulk'] },
  ])('is not removed by a key with %j, and is by one that may manage all', async (given) => {
    const id = await make();
    const holding = async (limits: object) => {
      const { body } = await postrider.api('POST', '/v1/api-keys', { name: 'k', ...limits });
      return apiClient(postrider.url, body.token);
    };
    expect(await remove(id, await holding(given))).toMatchObject({
      status: 403,
      body: { name: 'restricted_api_key' },
    });
    expect((await postrider.api('GET', `/v1/webhooks/${id}`)).status).toBe(200);
    expect((await remove(id, await holding({ scopes: ['manage'] }))).status).toBe(200);
  });
});

it('a removed endpoint loses all that waits for it, and a delivery in progress ends with its answer and leaves no data', async () => {
  const answers: Reply[] = [{ status: 503 }];
  let answerHeld: (reply: Reply) => void = () => {};
  const held = new Promise<Reply>((resolve) => {
    answerHeld = resolve;
  });
  await using consumer = await openConsumer(() => answers.shift() ?? held);
  await using steady = await openConsumer(() => ({ status: 204 }));
  const [gone, other] = [await make(consumer.url), await make(steady.url)];
  await using worker = await startPostrider({ REDIS_URL: server.url, ROLES: 'worker', WEBHOOK_SCHEDULE: '1h' });
  const send = () =>
    postrider.api('POST', '/v1/emails', { from: 'a@x.co', to: 'delivered@sandbox.invalid', subject: 's', text: 't' });
  await send();
  await until('the first to wait for its next try', async () => (await redis.hlen(keys.deliveries(gone))) === 1);
  await send();
  await until('the second to be in hand', () => consumer.calls.length === 2);
  expect([await redis.zcard(keys.posts(gone)), await redis.zcard(keys.posting(gone))]).toEqual([2, 1]);

  expect((await remove(gone)).status).toBe(200);
  expect(await redis.keys(`*${gone}*`)).toEqual([]);
  await send();
  await until('the other to be told of all three', () => steady.calls.length === 3);
  answerHeld({ status: 503 });
  // It finishes what it has in hand.
  worker.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
  expect(await redis.keys(`*${gone}*`)).toEqual([]);
  expect(consumer.calls).toHaveLength(2);
  expect(await redis.hlen(keys.deliveries(other))).toBe(3);
});
