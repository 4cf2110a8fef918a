/** POSTs that make a secret, under an Idempotency-Key: the same answer again, secret included, and nothing is made twice or comes back. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCreations } from '../../src/store/creations.ts';
import { keys } from '../../src/store/keys.ts';
import { apiClient, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let apis: [Postrider, Postrider];
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  const start = async () => opened.use(await startPostrider({ REDIS_URL: server.url, ROLES: 'api' }));
  apis = [await start(), await start()];
});
afterAll(() => opened.disposeAsync());

const endpoint = { endpoint: 'https://app.example.com/hooks', events: ['email.sent'] };

describe.each([
  { path: '/v1/webhooks', body: endpoint, other: { ...endpoint, events: ['email.bounced'] }, secret: 'signing_secret' },
  { path: '/v1/api-keys', body: { name: 'shop' }, other: { name: 'shed' }, secret: 'token' },
] as const)('POST $path', ({ path, body, other, secret }) => {
  const post = (api: Postrider, key: string, given: object = body) =>
    api.api('POST', path, given, { 'idempotency-key': key });
  const count = async () => (await apis[0].api('GET', `${path}?limit=100`)).body.data.length;

  it('that races under one key over two processes makes one, and all know its secret', async () => {
    const before = await count();
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => post(apis[n % 2 === 0 ? 0 : 1], 'race')));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(201));
    expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
    expect(answers.filter(({ headers }) => headers['idempotent-replayed'] === 'true')).toHaveLength(9);
    expect(answers[0]?.body[secret]).toMatch(/^\w+_.{30}/);
    expect(await count()).toBe(before + 1);
  });

  it('with another body under the key is refused; under another key, or none, it makes another', async () => {
    const first = await post(apis[0], 'one');
    expect(await post(apis[1], 'one', other)).toMatchObject({
      status: 422,
      body: { name: 'invalid_idempotent_request' },
    });
    const second = await post(apis[0], 'two');
    const third = await apis[0].api('POST', path, body);
    expect(new Set([first, second, third].map((answer) => answer.body.id)).size).toBe(3);
    expect(new Set([first, second, third].map((answer) => answer.body[secret])).size).toBe(3);
  });

  it('that is repeated after the thing was deleted does not restore it', async () => {
    const { id } = (await post(apis[0], 'gone')).body;
    await apis[0].api('DELETE', `${path}/${id}`);
    expect(await post(apis[1], 'gone')).toMatchObject({ status: 201, body: { id } });
    expect((await apis[0].api('GET', `${path}/${id}`)).status).toBe(404);
  });
});

it('a key that is over before the thing is stored is not claimed for ever', async () => {
  const creations = openCreations(redis, new Uint8Array(32));
  const claim = { scope: 'over', bodyHash: 'h' };
  const creation = await creations.begin(claim, { id: 'wh_1', now: 1 });
  await redis.del(keys.idempotency('over'));
  if (creation !== null) await creations.end(claim, creation);
  expect(await redis.exists(keys.idempotency('over'))).toBe(0);
});

it('a token from a repeat works as the first one does', async () => {
  const ask = () => apis[0].api('POST', '/v1/api-keys', { name: 'works' }, { 'idempotency-key': 'works' });
  await ask();
  const { token } = (await ask()).body;
  expect((await apiClient(apis[1].url, token)('GET', '/v1/emails')).status).toBe(200);
});

it('a repeat finishes, with the same id, the creation of a process that died', async () => {
  const creations = openCreations(redis, Buffer.alloc(32, 1));
  const claim = { scope: 'begun', bodyHash: 'hash' };
  const first = await creations.begin(claim, { id: 'wh_1', now: 10 });
  const second = await creations.begin(claim, { id: 'wh_2', now: 20 });
  expect(first).toMatchObject({ id: 'wh_1', createdAt: 10, isRepeat: false, isDone: false });
  expect(second).toEqual({ ...first, isRepeat: true });
  if (second !== null) await creations.end(claim, second);
  expect(await creations.begin(claim, { id: 'wh_3', now: 30 })).toMatchObject({ id: 'wh_1', isDone: true });
  expect(await creations.begin({ ...claim, bodyHash: 'other' }, { id: 'wh_4', now: 40 })).toBeNull();
  expect(await redis.pttl('pr:{0}:idem:begun')).toBeGreaterThan(23 * 3_600_000);
});

it('a first that is refused frees the key, but not from a repeat that did it meanwhile', async () => {
  const creations = openCreations(redis, Buffer.alloc(32, 1));
  const claim = { scope: 'refused', bodyHash: 'hash' };
  const begin = async (id: string) => (await creations.begin(claim, { id, now: 10 })) ?? expect.fail('another body');
  const refused = await begin('wh_1');
  await creations.giveUp(claim, refused);
  const first = await begin('wh_2');
  expect(first).toMatchObject({ id: 'wh_2', isRepeat: false });

  const repeat = await begin('wh_3');
  await creations.giveUp(claim, first);
  await creations.end(claim, repeat);
  await creations.giveUp(claim, first);
  expect(await begin('wh_4')).toMatchObject({ id: 'wh_2', isDone: true });
});
