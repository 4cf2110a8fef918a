/** The stack everybody writes first, end to end: Fastify and zod, one BullMQ job per letter, nodemailer's pool. What ours is a multiple of. */
import { cpuSeconds } from './cpu.ts';
import type { AcceptLimitAnswer, AcceptLimitRequest } from './limit-accept.ts';
import { type Bench, post } from './measure-limits.ts';
import type { NaiveWorkerRequest } from './naive-worker.ts';
import { startPart } from './processes.ts';

export type Naive = {
  /** Messages per second, from the first POST to the last 250 in the sink. */
  readonly perSecond: number;
  /** Seconds of CPU for 1,000 emails, of API, worker and Redis together; null where the system does not tell. */
  readonly cpu: number | null;
};

export async function measureNaive(bench: Bench): Promise<Naive> {
  const { redis, sink, sinkPort, counts } = bench;
  await redis.client.flushall();
  await using server = startPart<AcceptLimitRequest, AcceptLimitAnswer>('./limit-accept.ts');
  await using worker = startPart<NaiveWorkerRequest, null>('./naive-worker.ts');
  const { url } = await server.ask({ redisSocket: redis.socket });
  await worker.ask({ redisSocket: redis.socket, sinkPort });
  const send = async (count: number) => {
    await sink.ask({ kind: 'begin' });
    const { startedAt } = await post(bench, { url, apiKey: 'none', count, firstNumber: 0 });
    const { arrivals } = await sink.ask({ kind: 'wait', count });
    return { startedAt, endedAt: arrivals.at(-1) ?? 0 };
  };
  const readCpu = async (): Promise<number | null> => {
    const seconds = await Promise.all([server.pid, worker.pid, redis.pid].map(cpuSeconds));
    return seconds.reduce<number | null>((sum, one) => (sum === null || one === null ? null : sum + one), 0);
  };
  await send(counts.warmUp);
  const before = await readCpu();
  const { startedAt, endedAt } = await send(counts.naive);
  const after = await readCpu();
  const cpu = before === null || after === null ? null : ((after - before) * 1_000) / counts.naive;
  return { perSecond: (counts.naive * 1_000) / (endedAt - startedAt), cpu };
}
