/** `npm run bench -- --retention [count]`: whether the memory of Redis returns to its floor once retention has removed so many emails. */
import { keys } from '../src/store/keys.ts';
import { families, usedMemory } from './books.ts';
import type { Bench } from './measure-limits.ts';
import { batchSize, postBatch } from './measure-waiting.ts';
import { field, type OwnRedis } from './own-redis.ts';
import { startApi, startWorker } from './postrider.ts';
import { monotonicMs } from './processes.ts';
import { table, whole } from './table.ts';

type Bytes = { readonly used: number; readonly resident: number };

/** An email, and all that was told of it, is over right after it was delivered. */
const retention = { RETENTION_CONTENT: '1s', RETENTION_RECORDS: '2s', RETENTION_EVENTS: '2s' };
/** What may be left of each email, and of all of them: tables that Redis has not made smaller yet. */
const mostLeftPerEmail = 1;
const mostLeft = 1_000_000;
/** The memory is read while the rest goes on. */
const lookEveryMs = 500;
/** Beyond it something is broken: workers sweep events away once a minute. */
const longestPauseMs = 180_000;

/** @param count rounded up to whole batches @throws when an email was lost or doubled, or more was left of them than may be */
export async function measureRetention(bench: Pick<Bench, 'redis' | 'sink' | 'sinkPort'>, count: number) {
  const { redis, sink, sinkPort } = bench;
  const total = Math.ceil(count / batchSize) * batchSize;
  await using api = await startApi(redis, sinkPort, { ...retention, MAX_WAITING_EMAILS: String(2 * total) });
  // Scripts, tables and what is kept of a worker are there from the first batch on.
  await fill(api.url, batchSize);
  await deliverAndForget(bench, batchSize);
  const before = await bytesOf(redis);
  const startedAt = monotonicMs();
  await sink.ask({ kind: 'begin' });
  await fill(api.url, total);
  const waiting = await bytesOf(redis);
  const filledAt = monotonicMs();
  const peak = await deliverAndForget(bench, total);
  const after = await bytesOf(redis);
  const { count: taken, distinct } = await sink.ask({ kind: 'look' });
  if (taken !== total || distinct !== total)
    throw new Error(`${total} emails were accepted, the sink took ${taken}, ${distinct} of them distinct`);
  const seconds = (from: number, to: number) => `${whole((to - from) / 1_000)} s`;
  const times = `accepted in ${seconds(startedAt, filledAt)}, delivered and forgotten in ${seconds(filledAt, monotonicMs())}`;
  console.log(report(total, { before, 'all waiting': waiting, 'at the peak': peak, after }));
  console.log(`\n${whole(total)} emails, none lost and none doubled: ${times}`);
  const largest = (await families(redis.client)).slice(0, 5).map(({ name, bytes }) => `${name} ${whole(bytes)}`);
  console.log(`The largest keys that are left, in bytes: ${largest.join(', ')}`);
  judge(after.used - before.used, total);
}

async function fill(url: string, count: number): Promise<void> {
  for (let n = 0; n < count; n += batchSize) await postBatch(url, 'transactional', n);
}

/** @returns the most that was seen meanwhile */
async function deliverAndForget({ redis, sink, sinkPort }: Pick<Bench, 'redis' | 'sink' | 'sinkPort'>, count: number) {
  await using _worker = await startWorker(redis, sinkPort, '', retention);
  let peak = await bytesOf(redis);
  const left = async () => {
    const now = await bytesOf(redis);
    peak = { used: Math.max(peak.used, now.used), resident: Math.max(peak.resident, now.resident) };
    const { count: taken } = await sink.ask({ kind: 'look' });
    return Math.max(0, count - taken) + (await unforgotten(redis));
  };
  await untilNone('all to be delivered and forgotten', left);
  return peak;
}

/** Emails that ended and are still there, and events; the last event always is. */
async function unforgotten({ client }: OwnRedis): Promise<number> {
  const [ended, emptied, events] = await Promise.all([
    client.exists(keys.ended),
    client.exists(keys.emptied),
    client.xlen(keys.outbox),
  ]);
  return ended + emptied + Math.max(0, events - 1);
}

/** However long it takes, as long as something happens. */
async function untilNone(what: string, left: () => Promise<number>): Promise<void> {
  let before = Number.POSITIVE_INFINITY;
  for (let movedAt = monotonicMs(); monotonicMs() - movedAt < longestPauseMs; ) {
    const now = await left();
    if (now === 0) return;
    if (now !== before) movedAt = monotonicMs();
    before = now;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  throw new Error(`waited for ${what}, and for ${longestPauseMs} ms nothing happened: ${before} are left`);
}

async function bytesOf({ client }: OwnRedis): Promise<Bytes> {
  const resident = Number(field(await client.info('memory'), 'used_memory_rss'));
  return { used: await usedMemory(client), resident };
}

function report(total: number, states: Readonly<Record<string, Bytes>>): string {
  const floor = states.before?.used ?? 0;
  const rows = Object.entries(states).map(([name, { used, resident }]) => [
    name,
    whole(used),
    ((used - floor) / total).toFixed(used - floor < 10 * total ? 2 : 0),
    whole(resident),
  ]);
  return table(['Redis', 'bytes used', 'more per email', 'resident'], rows);
}

function judge(left: number, total: number): void {
  if (left > mostLeft + mostLeftPerEmail * total)
    throw new Error(`${whole(left)} bytes are left of ${whole(total)} emails`);
}
