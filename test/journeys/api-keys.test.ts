/** API keys over two processes: a revocation holds at once on both, also for an upload under way, a rate is one count for both, and Redis away is no refusal. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Answer, apiClient, type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let apis: [Postrider, Postrider];
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  const start = async () => opened.use(await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' }));
  apis = [await start(), await start()];
});
afterAll(() => opened.disposeAsync());

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

async function makeKey(request: Record<string, unknown>) {
  const { body } = await apis[0].api('POST', '/v1/api-keys', { name: 'a key', ...request });
  return { id: body.id, token: body.token, clients: apis.map(({ url }) => apiClient(url, body.token)) };
}

it('a revocation holds from its answer on; a request in progress is accepted completely or refused', async () => {
  const [first] = apis;
  for (let round = 0; round < 3; round++) {
    const { id, clients } = await makeKey({ permission: 'sending_access' });
    const sent: { readonly begunAt: number; readonly answer: Answer }[] = [];
    let isOver = false;
    const senders = [...clients, ...clients, ...clients].map(async (api) => {
      while (!isOver) {
        const begunAt = performance.now();
        sent.push({ begunAt, answer: await api('POST', '/v1/emails', email) });
      }
    });
    await until('mail on its way', () => sent.length >= 30);
    expect((await first.api('DELETE', `/v1/api-keys/${id}`)).status).toBe(200);
    const revokedAt = performance.now();
    const late = () => sent.filter(({ begunAt }) => begunAt > revokedAt);
    await until('requests begun later', () => late().length >= 30);
    isOver = true;
    await Promise.all(senders);

    expect(new Set(late().map(({ answer }) => answer.status))).toEqual(new Set([401]));
    const accepted = sent.filter(({ answer }) => answer.status === 202);
    expect(sent.filter(({ answer }) => answer.status !== 202 && answer.status !== 401)).toEqual([]);
    expect(accepted.length).toBeGreaterThan(0);
    for (const { answer } of accepted)
      expect((await first.api('GET', `/v1/emails/${answer.body.id}`)).status).toBe(200);
  }
});

async function read(path: string): Promise<string> {
  const answer = await fetch(`${apis[0].url}${path}`, { headers: { authorization: `Bearer ${testApiKey}` } });
  return answer.text();
}

it.each([
  {
    what: 'recipients of a campaign',
    async begin() {
      const letter = { from: 'news@example.com', subject: 'News', text: 'News' };
      const { id } = (await apis[0].api('POST', '/v1/campaigns', letter)).body;
      const count = async () => Number(JSON.parse(await read(`/v1/campaigns/${id}`)).counts.recipients);
      return { path: `/v1/campaigns/${id}/recipients`, count };
    },
  },
  {
    what: 'suppressions',
    async begin() {
      const count = async () => (await read('/v1/suppressions/export')).split('\n').length - 1;
      return { path: '/v1/suppressions/import', count };
    },
  },
])('an upload of $what stores nothing after its key was revoked on the other process', async ({ begin }) => {
  const [first, second] = apis;
  const { path, count } = await begin();
  const before = await count();
  const { id, token } = await makeKey({});
  const port = Number(new URL(first.url).port);
  await using socket = connect(port, '127.0.0.1');
  const head = [`POST ${path} HTTP/1.1`, 'host: a', `authorization: Bearer ${token}`, 'connection: close'];
  socket.write([...head, 'content-type: application/x-ndjson', 'transfer-encoding: chunked', '', ''].join('\r\n'));
  const send = (from: number, to: number) => {
    const records = Array.from({ length: to - from }, (_, n) => `{"email":"${id}-${from + n}@example.org"}\n`).join('');
    socket.write(`${records.length.toString(16)}\r\n${records}\r\n`);
  };
  send(0, 1_200);
  await until('the first records to be stored', async () => (await count()) >= before + 1_000);
  expect((await second.api('DELETE', `/v1/api-keys/${id}`)).status).toBe(200);
  send(1_200, 2_400);
  socket.write('0\r\n\r\n');
  const answer = await text(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 401 .*"name":"invalid_api_key"/s);
  expect(await count()).toBe(before + 1_000);
});

it('120 requests at once over both processes with a rate of 50/m: exactly 50 pass', async () => {
  const { clients } = await makeKey({ rate: '50/m' });
  const answers = await Promise.all(
    Array.from({ length: 120 }, (_, n) => clients[n % 2]?.('POST', '/v1/emails', email)),
  );
  const withStatus = (status: number) => answers.filter((answer) => answer?.status === status);
  expect([withStatus(202).length, withStatus(429).length]).toEqual([50, 70]);
  const left = withStatus(202).map((answer) => Number(answer?.headers['ratelimit-remaining']));
  expect(left.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(withStatus(429).every((answer) => Number(answer?.headers['retry-after']) > 0)).toBe(true);
});

it('while Redis is away, a key is answered 503 and never 401, and works again afterwards', async () => {
  const { clients } = await makeKey({ rate: '1000/m' });
  await redis.stop();
  for (const api of clients) {
    const answer = await api('POST', '/v1/emails', email);
    expect(answer).toMatchObject({ status: 503, body: { name: 'service_unavailable' } });
    expect(answer.headers['retry-after']).toBe('2');
  }
  await redis.start();
  for (const api of clients) {
    const seen: number[] = [];
    await until('it to work', async () => {
      seen.push((await api('POST', '/v1/emails', email)).status);
      return seen.at(-1) === 202;
    });
    expect(seen.filter((status) => status !== 503 && status !== 202)).toEqual([]);
  }
});
