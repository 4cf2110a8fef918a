/** A campaign: one worker that sends it into the sink, what that costs, and what its recipients take in Redis meanwhile. */
import type { Redis } from 'ioredis';
import { keys } from '../src/store/keys.ts';
import { addCampaign } from '../test/support/campaigns.ts';
import { cpuSeconds } from './cpu.ts';
import { recipient, writeLetter } from './letter.ts';
import { arrivalsPerSecond, type Bench } from './measure-limits.ts';
import { startWorker } from './postrider.ts';
import { until } from './processes.ts';

export type CampaignCost = {
  /** Messages per second. */
  readonly perSecond: number;
  /** Seconds of CPU for 1,000 recipients, of worker and Redis together; null where the system does not tell. */
  readonly cpu: number | null;
  /** Bytes for each recipient, of what the campaign keeps: before it is sent, half-way, and once it is over. */
  readonly bytes: readonly [before: number, during: number, after: number];
};

export async function measureCampaign(bench: Bench): Promise<CampaignCost> {
  const { counts, redis, sink, sinkPort } = bench;
  const { client } = redis;
  await client.flushall();
  await using worker = await startWorker(redis, sinkPort, '', { PUBLIC_URL: 'https://mail.example.com' });
  await sink.ask({ kind: 'begin' });
  await untilSent(client, await add(client, counts.warmUp));

  const count = counts.campaign;
  const paused = await add(client, count, 'paused');
  const before = await bytesOf(client, paused, count);
  await sink.ask({ kind: 'begin' });
  const cpuBefore = await cpuOf([worker.pid, redis.pid]);
  await client.hset(keys.campaign(paused), 'status', 'running');
  await client.zadd(keys.campaignsDue, Date.now(), paused);
  await untilSent(client, paused, count / 2);
  const during = await bytesOf(client, paused, count);
  await untilSent(client, paused);
  const cpuAfter = await cpuOf([worker.pid, redis.pid]);
  const taken = await sink.ask({ kind: 'wait', count });
  if (taken.count !== count || taken.distinct !== count)
    throw new Error(`the sink took ${taken.count} of ${count} letters of a campaign, ${taken.distinct} distinct`);
  return {
    perSecond: arrivalsPerSecond(taken.arrivals, 0),
    cpu: cpuBefore === null || cpuAfter === null ? null : ((cpuAfter - cpuBefore) * 1_000) / count,
    bytes: [before, during, await bytesOf(client, paused, count)],
  };
}

/** Each with some variables of its own, as a shop has them. */
async function add(client: Redis, count: number, status: 'running' | 'paused' = 'running'): Promise<string> {
  const { html, text } = writeLetter('');
  const recipients = Array.from({ length: count }, (_, n) => ({
    address: recipient(n),
    variables: { name: `Reader ${n}`, plan: ['free', 'team', 'pro'][n % 3], points: (n * 7_919) % 10_000 },
  }));
  const content = {
    subject: 'News for {{ name }}',
    html: `<p>Dear {{ name }}</p>${html}`,
    text: `{{ points }}\n${text}`,
  };
  return addCampaign(client, { recipients, content, status });
}

/** @param most that may be pending */
async function untilSent(client: Redis, id: string, most = 0): Promise<void> {
  const pending = async () => Number(await client.hget(keys.campaign(id), 'n:pending'));
  await until('a campaign to be sent', async () => ((await pending()) <= most ? true : null), pending);
}

/** Of all that stands under its name. */
async function bytesOf(client: Redis, id: string, count: number): Promise<number> {
  const names = await client.keys(`${keys.campaign(id)}*`);
  const sizes = await Promise.all(names.map((name) => client.memory('USAGE', name, 'SAMPLES', 0)));
  return sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0) / count;
}

async function cpuOf(pids: readonly number[]): Promise<number | null> {
  const seconds = await Promise.all(pids.map(cpuSeconds));
  return seconds.reduce<number | null>((sum, one) => (sum === null || one === null ? null : sum + one), 0);
}
