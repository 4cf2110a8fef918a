/** Postrider: accept alone, deliver alone, both together, and what they cost. */
import { type Commands, commands, type Family, families, untilForgotten, untilSettled, usedMemory } from './books.ts';
import { cpuSeconds } from './cpu.ts';
import {
  type Accepting,
  accepting,
  arrivalsPerSecond,
  type Bench,
  farMessages,
  fromFar,
  post,
} from './measure-limits.ts';
import { type Api, apiKey, startApi, startWorker, type Worker } from './postrider.ts';

/** A figure for each of our processes; null where the system does not tell. */
export type Cpu = {
  readonly api: number;
  readonly worker: number;
  readonly redis: number;
};

export type EndToEnd = {
  /** Messages per second, from the first POST to the last 250 in the sink. */
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Seconds per 1,000 emails. */
  readonly cpu: Cpu | null;
  /** Per email. */
  readonly commands: Commands;
};

/** Bytes per email. */
export type Memory = {
  readonly total: number;
  readonly families: readonly Family[];
};

export type Ours = {
  readonly accept: Accepting;
  /** Messages per second with nothing but the worker running hard. */
  readonly deliver: number;
  /** The same to a server that is far away. */
  readonly farDeliver: number;
  readonly endToEnd: EndToEnd;
  readonly waiting: Memory;
  readonly finished: Memory;
  /** Once their content and record have been removed. */
  readonly forgotten: Memory;
};

export async function measureOurs(bench: Bench): Promise<Ours> {
  const near = await measureNear(bench);
  return { ...near, farDeliver: await measureFar(bench) };
}

async function measureNear(bench: Bench): Promise<Omit<Ours, 'farDeliver'>> {
  const { counts, redis, sinkPort } = bench;
  await redis.client.flushall();
  await using api = await startApi(redis, sinkPort);
  const stored = counts.warmUp + counts.ours;
  const emptyBytes = await usedMemory(redis.client);
  const memory = async (emails: number): Promise<Memory> => ({
    total: ((await usedMemory(redis.client)) - emptyBytes) / emails,
    families: (await families(redis.client)).map((family) => ({
      ...family,
      bytes: family.bytes / emails,
    })),
  });

  await post(bench, {
    url: api.url,
    apiKey,
    count: counts.warmUp,
    firstNumber: 0,
  });
  const accept = accepting(
    await post(bench, {
      url: api.url,
      apiKey,
      count: counts.ours,
      firstNumber: counts.warmUp,
    }),
  );
  const waiting = await memory(stored);

  await bench.sink.ask({ kind: 'begin' });
  await using worker = await startWorker(redis, sinkPort);
  const deliver = arrivalsPerSecond(await takeAll(bench, stored), counts.warmUp);
  const finished = await memory(stored);

  const endToEnd = await measureEndToEnd(bench, api, worker);
  await forgetAll(bench);
  const forgotten = await memory(stored + counts.endToEnd);
  return { accept, deliver, endToEnd, waiting, finished, forgotten };
}

async function measureFar(bench: Bench): Promise<number> {
  const { counts, redis, sinkPort } = bench;
  await redis.client.flushall();
  await using api = await startApi(redis, sinkPort);
  await post(bench, { url: api.url, apiKey, count: counts.far, firstNumber: 0 });
  await bench.sink.ask({ kind: 'begin' });
  return fromFar(bench, async () => {
    await using _worker = await startWorker(redis, sinkPort);
    return arrivalsPerSecond(await takeAll(bench, counts.far), farMessages(counts).warmUp);
  });
}

/** A worker for which all that ended is over. */
async function forgetAll({ redis, sinkPort }: Bench): Promise<void> {
  await using _worker = await startWorker(redis, sinkPort, '', { RETENTION_CONTENT: '0s', RETENTION_RECORDS: '0s' });
  await untilForgotten(redis.client);
}

async function measureEndToEnd(bench: Bench, api: Api, worker: Worker): Promise<EndToEnd> {
  const count = bench.counts.endToEnd;
  const { client } = bench.redis;
  const pids = { api: api.pid, worker: worker.pid, redis: bench.redis.pid };
  await bench.sink.ask({ kind: 'begin' });
  const before = { cpu: await readCpu(pids), commands: await commands(client) };
  const posted = await post(bench, {
    url: api.url,
    apiKey,
    count,
    firstNumber: 0,
  });
  const arrivals = await takeAll(bench, count);
  const after = { cpu: await readCpu(pids), commands: await commands(client) };
  return {
    perSecond: (count * 1_000) / ((arrivals.at(-1) ?? 0) - posted.startedAt),
    p50Ms: posted.p50Ms,
    p99Ms: posted.p99Ms,
    cpu: spent(before.cpu, after.cpu, count / 1_000),
    commands: perEmail(before.commands, after.commands, count),
  };
}

/** Waits until the sink has everything and all the work behind it is done. @throws when mail was lost or came twice */
async function takeAll({ sink, redis }: Bench, count: number): Promise<readonly number[]> {
  await sink.ask({ kind: 'wait', count });
  await untilSettled(redis.client);
  const taken = await sink.ask({ kind: 'wait', count });
  if (taken.count === count && taken.distinct === count) return taken.arrivals;
  throw new Error(`${count} emails were accepted, the sink took ${taken.count}, ${taken.distinct} of them distinct`);
}

async function readCpu(pids: Readonly<Record<keyof Cpu, number>>): Promise<Cpu | null> {
  const [api, worker, redis] = await Promise.all([pids.api, pids.worker, pids.redis].map(cpuSeconds));
  return api == null || worker == null || redis == null ? null : { api, worker, redis };
}

function spent(before: Cpu | null, after: Cpu | null, thousands: number): Cpu | null {
  if (before === null || after === null) return null;
  const part = (name: keyof Cpu) => (after[name] - before[name]) / thousands;
  return { api: part('api'), worker: part('worker'), redis: part('redis') };
}

function perEmail(before: Commands, after: Commands, count: number): Commands {
  const calls = [...after.byName].map(([name, n]) => [name, (n - (before.byName.get(name) ?? 0)) / count] as const);
  return {
    executed: (after.executed - before.executed) / count,
    reads: (after.reads - before.reads) / count,
    byName: new Map(calls),
  };
}
