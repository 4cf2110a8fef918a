/** What /metrics tells of an API and a worker: every metric there is, under labels of closed sets, also while Redis is away. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fetchOutcomes } from '../../src/domain/attachment.ts';
import { lanes } from '../../src/domain/lane.ts';
import { attemptOutcomes } from '../../src/domain/ledger.ts';
import { refusalReasons } from '../../src/domain/problem.ts';
import { recipientStatuses } from '../../src/domain/recipient.ts';
import { type Metric, metrics } from '../../src/telemetry/metrics.ts';
import { numberOf, readSamples, type Sample } from '../support/exposition.ts';
import { type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { openReceiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let api: Postrider;
let workerUrl: string;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  const smtp = opened.use(
    await openSmtpServer({ onRecipient: (to) => (to.startsWith('nobody') ? '550 5.1.1 Unknown' : undefined) }),
  );
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none&name=relay` };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  const webhooks = { WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true' };
  const worker = opened.use(await startPostrider({ ...env, ...webhooks, ROLES: 'worker', HEALTH_PORT: '0' }));
  [, workerUrl = ''] = await worker.printed(/health is at (\S+)\/readyz/);
}, 60_000);
afterAll(() => opened.disposeAsync());

async function scrape(url: string): Promise<string> {
  const answer = await fetch(`${url}/metrics`);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(answer.status).toBe(200);
  return answer.text();
}

const email = (to: string, lane = 'transactional') => ({
  from: 'ann@x.example',
  to,
  lane,
  subject: 'Hi',
  text: 'Hello',
});

/** What each label may say. */
const closed: Readonly<Record<string, ReadonlySet<string> | RegExp>> = {
  lane: new Set(lanes),
  reason: new Set(refusalReasons),
  takes_mail: new Set(['true', 'false']),
  transport: new Set(['relay', 'sandbox']),
  phase: new Set(['connect', 'envelope', 'body']),
  outcome: new Set([...attemptOutcomes, ...fetchOutcomes, 'delivered', 'refused', 'unanswered']),
  state: new Set(['busy', 'idle']),
  method: new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'other']),
  status: new RegExp(`^(?:[1-5]\\d\\d|${recipientStatuses.join('|')})$`),
  route: /^(?:unknown|(?:\/(?:[a-z0-9-]+|:[a-z]+|\*))+)$/,
  le: /^[\d.]+$|^\+Inf$/,
};

function isClosed([label, value]: readonly [string, string]): boolean {
  const allowed = closed[label];
  return allowed instanceof RegExp ? allowed.test(value) : (allowed?.has(value) ?? false);
}

const ofOurs = ({ name }: Sample) => Object.keys(metrics).some((known) => name.startsWith(known));

it('the metrics page covers all that was sent, and names no address', async () => {
  await using receiver = await openReceiver();
  const hook = { endpoint: receiver.url, events: ['email.sent', 'email.bounced'] };
  expect((await api.api('POST', '/v1/webhooks', hook)).status).toBe(201);
  const key = { 'idempotency-key': 'once' };
  for (const _ of [1, 2]) await api.api('POST', '/v1/emails', email('bob@y.example'), key);
  await api.api('POST', '/v1/emails', email('nobody@y.example'));
  await api.api('POST', '/v1/emails/batch', [email('bob@y.example', 'bulk'), email('complained@sandbox.invalid')]);
  expect((await fetch(`${api.url}/v1/emails/${testApiKey}`)).status).toBe(401);
  expect((await fetch(`${api.url}/no/bob@y.example`)).status).toBe(404);
  await until('all posts to be counted', async () => {
    const samples = readSamples(await scrape(workerUrl));
    return (numberOf(samples, 'postrider_webhook_posts_total', { outcome: 'delivered' }) ?? 0) >= 4;
  });

  const texts = [await scrape(api.url), await scrape(workerUrl)];
  for (const text of texts) expect(text).not.toMatch(/@|\b(?:em|ev|rq|jb|at|wh|key|whsec|pr)_\w{8}/);
  const [atApi = [], atWorker = []] = texts.map(readSamples);
  expect(numberOf(atApi, 'postrider_accepted_emails_total', { lane: 'transactional' })).toBe(3);
  expect(numberOf(atApi, 'postrider_accepted_emails_total', { lane: 'bulk' })).toBe(1);
  expect(numberOf(atApi, 'postrider_recipients_total', { lane: 'transactional', status: 'queued' })).toBe(3);
  expect(numberOf(atApi, 'postrider_refused_requests_total', { reason: 'missing_api_key', takes_mail: 'false' })).toBe(
    1,
  );
  const post = { route: '/v1/emails', method: 'POST', status: '202' };
  expect(numberOf(atApi, 'postrider_http_requests_total', post)).toBe(3);
  for (const [status, count] of Object.entries({ sent: 2, bounced: 1, complained: 1 }))
    expect(numberOf(atWorker, 'postrider_recipients_total', { lane: 'transactional', status })).toBe(count);
  const tried = (outcome: string) => numberOf(atWorker, 'postrider_attempts_total', { transport: 'relay', outcome });
  expect([tried('sent'), tried('bounced'), tried('unknown')]).toEqual([2, 1, 0]);
  expect(numberOf(atWorker, 'postrider_accept_to_sent_seconds_count', { lane: 'bulk' })).toBe(1);
  expect(numberOf(atWorker, 'postrider_queue_wait_seconds_count', { lane: 'transactional' })).toBe(2);
  expect(numberOf(atWorker, 'postrider_smtp_phase_seconds_count', { phase: 'envelope' })).toBe(3);

  const all = [...atApi, ...atWorker].filter(ofOurs);
  expect(all.flatMap(({ labels }) => Object.entries(labels)).filter((label) => !isClosed(label))).toEqual([]);
  const missing = Object.keys(metrics).filter((name) => !all.some((sample) => sample.name.startsWith(name)));
  expect(missing).toEqual([]);
  for (const [name, { kind, labels }] of Object.entries<Metric>(metrics)) {
    const endings = kind === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    const given = all.filter((sample) => endings.some((ending) => sample.name === `${name}${ending}`));
    const known = new Set(kind === 'histogram' ? [...labels, 'le'] : labels);
    expect(given.flatMap((sample) => Object.keys(sample.labels)).filter((label) => !known.has(label))).toEqual([]);
  }
});

it('the metrics page says how much waits, since when, and the state of the transport', async () => {
  expect((await api.api('POST', '/v1/transports/relay/pause')).status).toBe(200);
  await api.api('POST', '/v1/emails', {
    ...email('later@y.example'),
    scheduled_at: new Date(Date.now() + 3_600_000).toISOString(),
  });
  const parked = { transport: 'relay', lane: 'transactional' };
  // The worker has read of the pause within a second.
  const samples = await until('an email to be parked', async () => {
    await api.api('POST', '/v1/emails', email('bob@y.example'));
    const now = readSamples(await scrape(api.url));
    return numberOf(now, 'postrider_parked_emails', parked) ? now : undefined;
  });
  expect(numberOf(samples, 'postrider_transport_paused', { transport: 'relay' })).toBe(1);
  expect(numberOf(samples, 'postrider_breaker_open', { transport: 'relay' })).toBe(0);
  await until('the age to grow', async () => {
    const now = readSamples(await scrape(workerUrl));
    expect(numberOf(now, 'postrider_oldest_waiting_seconds', { lane: 'bulk' })).toBe(0);
    const parkedNow = numberOf(now, 'postrider_parked_emails', parked);
    const oldest = numberOf(now, 'postrider_oldest_waiting_seconds', { lane: 'transactional' }) ?? 0;
    return oldest > 0.5 && numberOf(now, 'postrider_waiting_emails', { lane: 'transactional' }) === parkedNow;
  });
});

it('a campaign that its transport keeps waiting waits with all its recipients, and no longer once it is done', async () => {
  const made = await api.api('POST', '/v1/campaigns', {
    name: 'c',
    from: 'ann@x.example',
    subject: 'Hi',
    text: 'Hello',
  });
  const url = `/v1/campaigns/${made.body.id}`;
  await api.api(
    'POST',
    `${url}/recipients`,
    ['a', 'b', 'c'].map((name) => ({ email: `${name}@y.example` })),
  );
  expect((await api.api('POST', `${url}/send`)).status).toBe(200);
  const level = async () => {
    const now = readSamples(await scrape(workerUrl));
    const of = (name: string) => numberOf(now, name, { lane: 'bulk' }) ?? 0;
    return { waiting: of('postrider_waiting_emails'), age: of('postrider_oldest_waiting_seconds') };
  };
  await until('its age to grow', async () => {
    const { waiting, age } = await level();
    expect(waiting).toBe(3);
    return age > 0.5;
  });
  await api.api('POST', '/v1/transports/relay/resume');
  await until('it to be done', async () => (await level()).waiting === 0);
  expect(await level()).toEqual({ waiting: 0, age: 0 });
  // It began at the API, and each of its recipients was settled by the worker; the fourth email of the lane is from above.
  const recipients = async (url: string, status: string) =>
    numberOf(readSamples(await scrape(url)), 'postrider_recipients_total', { lane: 'bulk', status });
  expect(await recipients(api.url, 'queued')).toBe(4);
  await until('all to be counted', async () => (await recipients(workerUrl, 'sent')) === 4);
});

it('answers while Redis is away, without what only Redis knows', async () => {
  await redis.stop();
  for (const url of [api.url, workerUrl]) {
    const samples = readSamples(await scrape(url));
    expect(numberOf(samples, 'postrider_redis_up')).toBe(0);
    for (const name of ['postrider_waiting_emails', 'postrider_redis_memory_bytes', 'postrider_breaker_open'])
      expect(numberOf(samples, name)).toBeUndefined();
    expect(numberOf(samples, 'postrider_process_start_time_seconds')).toBeGreaterThan(0);
  }
  await api.api('POST', '/v1/emails', email('bob@y.example'));
  expect((await api.api('GET', '/v1/events')).status).toBe(503);
  const samples = readSamples(await scrape(api.url));
  for (const takes_mail of ['true', 'false'])
    expect(numberOf(samples, 'postrider_refused_requests_total', { reason: 'redis_away', takes_mail })).toBe(1);
  await redis.start();
  await until('Redis to be back', async () => numberOf(readSamples(await scrape(api.url)), 'postrider_redis_up') === 1);
});
