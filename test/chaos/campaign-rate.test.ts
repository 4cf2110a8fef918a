/** The rate of a campaign over two workers: kept to by both together, and nobody else's business. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Rate } from '../../src/domain/rate.ts';
import { addCampaign, standingOf } from '../support/campaigns.ts';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
/** What came, in that order: to which domain, and when by the clock of the sink. */
const arrived: { readonly domain: string; readonly at: number }[] = [];
let redis: Redis;
beforeAll(async () => {
  const domains = new Map<number, string>();
  const sink = opened.use(
    await openScriptedSmtp((stage, line, connection) => {
      if (stage === 'RCPT') domains.set(connection, /@([^>]*)>/.exec(line)?.[1] ?? '');
      if (stage === 'body') arrived.push({ domain: domains.get(connection) ?? '', at: performance.now() });
      return undefined;
    }),
  );
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  const SMTP_URL = `smtp://127.0.0.1:${sink.port}?tls=none`;
  // Nobody is killed here: what a busy machine makes late is not lost, and is not tried again by the schedule.
  const lock = { WORKER_LOCK: '5m' };
  const common = { REDIS_URL: server.url, SMTP_URL, ROLES: 'worker', LOG_LEVEL: 'warn' };
  const env = { ...common, ...lock, PUBLIC_URL: 'http://mail.test' };
  for (const worker of await Promise.all([startPostrider(env), startPostrider(env)])) opened.use(worker);
});
beforeEach(() => arrived.splice(0));
afterAll(() => opened.disposeAsync());

function add(domain: string, count: number, rate: Rate | null): Promise<string> {
  const recipients = Array.from({ length: count }, (_, n) => ({ address: `r${n}@${domain}`, variables: {} }));
  return addCampaign(redis, { recipients, head: { rate } });
}

const cameTo = (domain: string) => arrived.filter((one) => one.domain === domain);

it('the rate of a campaign is kept by two workers together: nothing comes before its time', async () => {
  const begunAt = performance.now();
  const id = await add('steady.test', 80, { count: 20, windowMs: 1_000 });
  await until('it to be completed', async () => (await standingOf(redis, id)).status === 'completed');
  const times = cameTo('steady.test').map(({ at }) => at - begunAt);
  expect(times).toHaveLength(80);
  // From the beginning, where a second's worth is saved up: a busy machine has them come later than that, and never earlier. No more than the rate, whoever asks, is what test/store/campaign-slices.test.ts shows.
  const most = (ms: number) => 20 + (20 * ms) / 1_000;
  for (const [n, at] of times.entries()) expect(n + 1, `number ${n} after ${at} ms`).toBeLessThanOrEqual(most(at));
});

it('the rate of a campaign holds up no other campaign that came later', async () => {
  // More than go out in any time that the others could take.
  const slow = await add('slow.test', 1_000, { count: 1, windowMs: 2_000 });
  await until('the first of it to arrive', () => cameTo('slow.test').length > 0);
  const ids = await Promise.all(['one.test', 'two.test'].map((domain) => add(domain, 1_000, null)));
  await until('the others to be completed', async () =>
    (await Promise.all(ids.map((id) => standingOf(redis, id)))).every(({ status }) => status === 'completed'),
  );
  expect([cameTo('one.test').length, cameTo('two.test').length]).toEqual([1_000, 1_000]);
  const { status, counts } = await standingOf(redis, slow);
  expect([status, counts.recipients - counts.pending]).toEqual(['running', counts.sent]);
});
