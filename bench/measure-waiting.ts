/** What waiting mail costs others: a login code beside a campaign, and a worker whose transport may send one message a second. */
import { cpuSeconds } from './cpu.ts';
import { recipient, writeLetter } from './letter.ts';
import type { Bench } from './measure-limits.ts';
import { apiKey, startApi, startWorker } from './postrider.ts';
import { monotonicMs, until } from './processes.ts';

export type Waiting = {
  /** Bulk emails that waited when the first transactional one was posted, and when the last had arrived. */
  readonly bulk: { readonly before: number; readonly after: number; readonly perSecond: number };
  /** From the POST of a transactional email to its 250, milliseconds. */
  readonly transactional: { readonly count: number; readonly p50Ms: number; readonly p99Ms: number };
  /** Emails parked for a transport of one message a second, and CPU of the worker meanwhile, as a share of a core; null where it is not told. */
  readonly parked: { readonly emails: number; readonly cpu: number | null };
};

export const batchSize = 1_000;
/** One after another, as login codes come. */
const everyMs = 20;
const watchMs = 3_000;
/** Its name tells the sink to note when it comes. */
const watched = (number: number) => recipient(number).replace('reader', 'watched');

export async function measureWaiting(bench: Bench): Promise<Waiting> {
  const { counts, redis, sink } = bench;
  await redis.client.flushall();
  await using api = await startApi(redis, bench.sinkPort);
  for (let n = 0; n < counts.bulk; n += batchSize) await postBatch(api.url, 'bulk', n);
  await sink.ask({ kind: 'begin' });
  const lanes = await measureLanes(bench, api.url);
  return { ...lanes, parked: await measureParked(bench, api.url) };
}

async function measureLanes({ counts, redis, sink, sinkPort }: Bench, url: string) {
  await using _worker = await startWorker(redis, sinkPort);
  await sink.ask({ kind: 'wait', count: batchSize });
  const postedAt: number[] = [];
  const { count: before } = await sink.ask({ kind: 'look' });
  const startedAt = monotonicMs();
  for (let n = 0; n < counts.watched; n++) {
    postedAt.push(monotonicMs());
    await postOne(url, watched(n));
    await pause(everyMs);
  }
  const { watched: arrivedAt, count: after } = await until(
    'all transactional mail to arrive',
    async () => {
      const seen = await sink.ask({ kind: 'look' });
      return Object.keys(seen.watched).length === counts.watched ? seen : null;
    },
    () => null,
  );
  const ms = postedAt.map((at, n) => (arrivedAt[watched(n)] ?? Number.NaN) - at).sort((a, b) => a - b);
  const at = (share: number) => ms[Math.min(ms.length - 1, Math.floor(share * ms.length))] ?? Number.NaN;
  const bulkSent = after - counts.watched - before;
  const perSecond = (bulkSent * 1_000) / (monotonicMs() - startedAt);
  return {
    bulk: { before: counts.bulk - before, after: counts.bulk - before - bulkSent, perSecond },
    transactional: { count: counts.watched, p50Ms: at(0.5), p99Ms: at(0.99) },
  };
}

/** Everything is looked at once and parked; what it costs from then on is measured. */
async function measureParked({ counts, redis, sinkPort }: Bench, url: string): Promise<Waiting['parked']> {
  await redis.client.flushall();
  for (let n = 0; n < counts.parked; n += batchSize) await postBatch(url, 'bulk', n);
  await using worker = await startWorker(redis, sinkPort, 'rate=1/s');
  const parked = () => redis.client.zcard('pr:{0}:parked:default:bulk');
  await until('all mail to be parked', async () => (await parked()) >= counts.parked * 0.98, parked);
  // What parking them left behind is cleared away first.
  await pause(watchMs);
  const before = await cpuSeconds(worker.pid);
  await pause(watchMs);
  const after = await cpuSeconds(worker.pid);
  return {
    emails: await parked(),
    cpu: before === null || after === null ? null : (after - before) / (watchMs / 1_000),
  };
}

export async function postBatch(url: string, lane: 'bulk' | 'transactional', first: number): Promise<void> {
  const { to: _, ...base } = { ...writeLetter(''), lane };
  const messages = Array.from({ length: batchSize }, (_, n) => ({ to: recipient(first + n) }));
  await postJson(`${url}/batch`, { base, messages });
}

function postOne(url: string, to: string): Promise<void> {
  return postJson(url, writeLetter(to));
}

async function postJson(url: string, body: object): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (answer.status !== 202) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 500)}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
