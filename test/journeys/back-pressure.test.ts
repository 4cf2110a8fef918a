/** Back-pressure: over a limit new mail is refused and nothing is stored, each lane by itself; it is taken again once there is room. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { apiClient, type Env, type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { openRawHttp } from '../support/raw-http.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

const opened = new AsyncDisposableStack();
let server: TestRedis;
let redis: Redis;
/** With a limit of each kind. */
let api: Postrider;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  redis = server.connect();
  api = opened.use(await startApi({ MAX_WAITING_EMAILS: '5', MAX_REDIS_MEMORY: '50%' }));
});
afterAll(() => opened.disposeAsync());

const startApi = (limits: Env) => startPostrider({ REDIS_URL: server.url, ROLES: 'api', ...limits });

async function loadOf({ api }: Postrider) {
  const { status, body } = await api('GET', '/readyz');
  return { status, ...body.checks.find(({ name }) => name === 'load') };
}

function isAtLine(postrider: Postrider, isOver: boolean) {
  return until(`the line to be ${isOver ? 'crossed' : 'left'}`, async () => (await loadOf(postrider)).ok === !isOver);
}

/** Every way to make mail. */
const sends = [
  ['/v1/emails', email],
  ['/v1/emails/batch', [email, email]],
] as const;

async function expectRefusal({ api }: Postrider, detail: RegExp) {
  const before = await redis.dbsize();
  for (const [path, body] of sends) {
    const refused = await api('POST', path, body, { 'idempotency-key': 'over' });
    expect([path, refused]).toMatchObject([path, { status: 503, body: { name: 'service_unavailable' } }]);
    expect(refused.body.detail).toMatch(detail);
    expect(refused.headers['retry-after']).toBe('2');
  }
  expect(await redis.dbsize()).toBe(before);
}

const ballast = Array.from({ length: 10 }, (_, n) => `ballast ${n}`);

/** Puts 40 MB into Redis, in parts, as a part in transit is in its memory twice. */
async function load(): Promise<void> {
  for (const key of ballast) await redis.set(key, Buffer.alloc(4 * 1_024 ** 2));
}

/** What a server answers to the head of a request whose body never comes. */
async function answerToHead(url: string, path: string, token = testApiKey): Promise<number> {
  using http = await openRawHttp(url);
  http.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 30000000\r\n\r\n`,
  );
  return (await http.answer()).status;
}

it('while as many emails wait as the line says, mail is refused and everything else answered; it is taken again once they have gone', async () => {
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) ids.push((await api.api('POST', '/v1/emails', email)).body.id);
  await isAtLine(api, true);
  await expectRefusal(
    api,
    /^New transactional mail is refused for now: 5 transactional emails are waiting, the limit is 5/,
  );
  expect(await loadOf(api)).toMatchObject({
    status: 200,
    ok: false,
    detail: expect.stringMatching(/^5 transactional emails/),
  });
  expect((await api.api('GET', `/v1/emails/${ids[0]}`)).status).toBe(200);
  expect(api.output()).toMatch(/new mail is refused/);

  await using smtp = await openSmtpServer();
  await using _worker = await startPostrider({
    REDIS_URL: server.url,
    ROLES: 'worker',
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
  });
  await isAtLine(api, false);
  await until('the five to arrive', () => smtp.mails.length === 5);
  expect(await loadOf(api)).toEqual({ status: 200, name: 'load', ok: true });
  for (const [path, body] of sends)
    expect([path, await api.api('POST', path, body, { 'idempotency-key': 'over' })]).toMatchObject([
      path,
      { status: 202 },
    ]);
  expect(api.output()).toMatch(/new mail is taken again/);
  await until('those to arrive as well', () => smtp.mails.length === 8);
});

it('bulk over its line is refused, before it is read where nothing else can come; transactional mail is taken', async () => {
  const bulk = { ...email, lane: 'bulk' };
  const { token } = (await api.api('POST', '/v1/api-keys', { name: 'bulk', lanes: ['bulk'] })).body;
  const { id: campaign } = (await api.api('POST', '/v1/campaigns', { ...email, to: undefined, name: 'c' })).body;
  const scheduled = { ...bulk, scheduled_at: new Date(Date.now() + 3_600_000).toISOString() };
  for (let n = 0; n < 6; n++) expect((await api.api('POST', '/v1/emails', scheduled)).status).toBe(202);
  const once = { 'idempotency-key': 'once' };
  const [first] = [await api.api('POST', '/v1/emails', bulk, once)];
  const batch = await api.api('POST', '/v1/emails/batch', [bulk, bulk, bulk], once);
  const permissive = { 'x-batch-validation': 'permissive' };
  const partlyWrong = [
    { ...bulk, idempotency_key: 'once' },
    { ...bulk, to: 'nobody', idempotency_key: 'never valid' },
    { ...bulk, idempotency_key: 'of the last' },
  ];
  const partly = await api.api('POST', '/v1/emails/batch', partlyWrong, permissive);
  expect([first.status, batch.status, partly.status, partly.body.data.length]).toEqual([202, 202, 202, 2]);
  // Of each of these only the first was accepted: the other clashes, or cannot be made.
  const halves = [
    { ...bulk, subject: 'Other', idempotency_key: 'of the last' },
    { ...bulk, text: undefined, template: { id: 'no-such' } },
  ].map((other) => [{ ...bulk, idempotency_key: 'once' }, other]);
  const postHalves = () => Promise.all(halves.map((half) => api.api('POST', '/v1/emails/batch', half, permissive)));
  const halfDone = { status: 202, body: { data: [{ id: first.body.id }], errors: [{ index: 1 }] } };
  const firstHalves = await postHalves();
  expect(firstHalves).toMatchObject([halfDone, halfDone]);
  await isAtLine(api, true);

  expect((await loadOf(api)).detail).toBe('5 bulk emails are waiting, the limit is 5 (MAX_WAITING_EMAILS)');
  expect(api.output()).toMatch(/"lanes":\["bulk"\].*new mail is refused/);
  // The worker that ended leaves keys that expire, so only emails are counted.
  const stored = async () => (await redis.keys('pr:{0}:email:*')).length;
  const before = await stored();
  const mixed = [email, bulk];
  for (const headers of [{}, permissive])
    for (const [path, body] of [
      ['/v1/emails', bulk],
      ['/v1/emails/batch', [bulk]],
      ['/v1/emails/batch', mixed],
      ['/v1/emails/batch', [{ ...bulk, to: 'nobody' }, bulk]],
    ] as const) {
      const refused = await api.api('POST', path, body, { ...headers, 'idempotency-key': 'over bulk' });
      expect([path, refused]).toMatchObject([path, { status: 503, headers: { 'retry-after': '2' } }]);
      expect(refused.body.detail).toMatch(/^New bulk mail is refused for now: 5 bulk emails/);
    }
  const ofBulkAlone = apiClient(api.url, token);
  for (const [path, body] of sends) {
    expect([path, await answerToHead(api.url, path, token)]).toEqual([path, 503]);
    expect((await ofBulkAlone('POST', path, body)).status).toBe(503);
  }
  expect(await answerToHead(api.url, `/v1/campaigns/${campaign}/recipients`)).toBe(503);
  expect(await stored()).toBe(before);
  const metrics = await (await fetch(`${api.url}/metrics`)).text();
  expect(metrics).toMatch(
    /^postrider_refused_requests_total\{reason="back_pressure",takes_mail="true"\} (1[1-9]|[2-9]\d)/m,
  );

  // What is wrong for good is not put off, and what was answered is answered again.
  expect((await api.api('POST', '/v1/emails', { ...bulk, to: 'nobody' })).status).toBe(422);
  const repeats = [
    [await api.api('POST', '/v1/emails', bulk, once), first],
    [await api.api('POST', '/v1/emails/batch', [bulk, bulk, bulk], once), batch],
  ] as const;
  for (const [repeat, { body }] of repeats)
    expect(repeat).toMatchObject({ status: 202, body, headers: { 'idempotent-replayed': 'true' } });
  const keyed = await api.api('POST', '/v1/emails/batch', [{ ...bulk, idempotency_key: 'once' }]);
  expect(keyed).toMatchObject({ status: 202, body: { data: [{ id: first.body.id }] } });
  expect(await api.api('POST', '/v1/emails/batch', partlyWrong, permissive)).toMatchObject({
    status: 202,
    body: partly.body,
  });
  expect((await postHalves()).map(({ body }) => body)).toEqual(firstHalves.map(({ body }) => body));
  const oneNew = [{ ...bulk, idempotency_key: 'once' }, bulk];
  expect((await api.api('POST', '/v1/emails/batch', oneNew, permissive)).status).toBe(503);
  const other = (await api.api('POST', '/v1/api-keys', { name: 'codes', lanes: ['transactional'] })).body;
  expect((await apiClient(api.url, other.token)('POST', `/v1/campaigns/${campaign}/send`)).status).toBe(404);
  for (const [path, body] of [
    ['/v1/emails', bulk],
    ['/v1/emails/batch', mixed],
  ] as const)
    expect([path, (await apiClient(api.url, other.token)('POST', path, body)).status]).toEqual([path, 403]);
  for (const [path, body] of sends) expect([path, (await api.api('POST', path, body)).status]).toEqual([path, 202]);

  for (const { id } of [first.body, ...batch.body.data, ...partly.body.data.slice(1)])
    await api.api('POST', `/v1/emails/${id}/cancel`);
  await isAtLine(api, false);
  expect((await api.api('POST', '/v1/emails/batch', mixed, { 'idempotency-key': 'over bulk' })).status).toBe(202);
  await redis.flushall();
});

it("over its share of Redis' maxmemory, mail is refused; it is taken again once there is room", async () => {
  expect((await api.api('POST', '/v1/emails', email)).status).toBe(202);
  await redis.config('SET', 'maxmemory', '64mb');
  await load();
  await isAtLine(api, true);
  for (const [path] of sends) expect([path, await answerToHead(api.url, path)]).toEqual([path, 503]);
  await expectRefusal(api, /^New mail is refused for now: Redis uses \d+\.\d MB, the limit is 32\.0 MB/);
  await redis.del(ballast);
  await isAtLine(api, false);
  expect((await api.api('POST', '/v1/emails', email)).status).toBe(202);
  await redis.config('SET', 'maxmemory', '0');
});

it('over a size of its own, mail is refused also where Redis has no limit', async () => {
  await using own = await startApi({ MAX_REDIS_MEMORY: '32mb' });
  await load();
  await isAtLine(own, true);
  await expectRefusal(own, /the limit is 32\.0 MB/);
  await redis.del(ballast);
  await isAtLine(own, false);
});
