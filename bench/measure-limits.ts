/** The limits: what the libraries we stand on do on this machine, now, with nothing of ours around them. */
import { type Counts, farMs, httpConnections, uncountedShare } from './counts.ts';
import type { AcceptLimitAnswer, AcceptLimitRequest } from './limit-accept.ts';
import type { DeliverLimitKind, DeliverLimitRequest } from './limit-deliver.ts';
import type { LoadAnswer, LoadRequest } from './load.ts';
import type { OwnRedis } from './own-redis.ts';
import { type Part, startPart } from './processes.ts';
import type { SinkAnswer, SinkRequest } from './sink.ts';

/** What every measurement works with. */
export type Bench = {
  readonly counts: Counts;
  readonly redis: OwnRedis;
  readonly sink: Part<SinkRequest, SinkAnswer>;
  readonly sinkPort: number;
  readonly load: Part<LoadRequest, LoadAnswer>;
};

export type Accepting = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

export type Limits = {
  readonly fastifyZod: Accepting;
  readonly fastifyZodBullmq: Accepting;
  /** Messages per second. */
  readonly raw: number;
  readonly connection: number;
  readonly sendMail: number;
  /** From as far as `farMs`. */
  readonly farSendMail: number;
};

export async function measureLimits(bench: Bench): Promise<Limits> {
  return {
    fastifyZod: await acceptLimit(bench, null),
    fastifyZodBullmq: await acceptLimit(bench, bench.redis.socket),
    raw: await deliverLimit(bench, 'raw'),
    connection: await deliverLimit(bench, 'connection'),
    sendMail: await deliverLimit(bench, 'sendMail'),
    farSendMail: await fromFar(bench, () => deliverLimit(bench, 'sendMail', farMessages(bench.counts))),
  };
}

/** How many messages a sender sends: the first do not count, as it is cold. */
type Messages = { readonly warmUp: number; readonly counted: number };

/** From far away the distance is the limit, and a sender is soon as fast as it gets. */
export function farMessages({ far }: Counts): Messages {
  const warmUp = Math.floor(far * uncountedShare);
  return { warmUp, counted: far - warmUp };
}

/** With the sink as far away as servers of providers are. */
export async function fromFar<T>({ sink }: Bench, measure: () => Promise<T>): Promise<T> {
  await sink.ask({ kind: 'move', roundTripMs: farMs });
  try {
    return await measure();
  } finally {
    await sink.ask({ kind: 'move', roundTripMs: 0 });
  }
}

async function acceptLimit(bench: Bench, redisSocket: string | null): Promise<Accepting> {
  await bench.redis.client.flushall();
  await using server = startPart<AcceptLimitRequest, AcceptLimitAnswer>('./limit-accept.ts');
  const target = {
    ...(await server.ask({ redisSocket })),
    apiKey: 'none',
    firstNumber: 0,
  };
  await post(bench, { ...target, count: bench.counts.warmUp });
  return accepting(await post(bench, { ...target, count: bench.counts.acceptLimit }));
}

async function deliverLimit(
  { sink, sinkPort, counts }: Bench,
  kind: DeliverLimitKind,
  { warmUp, counted }: Messages = { warmUp: counts.warmUp, counted: counts[kind] },
): Promise<number> {
  const count = warmUp + counted;
  await using client = startPart<DeliverLimitRequest, null>('./limit-deliver.ts');
  await sink.ask({ kind: 'begin' });
  await client.ask({ kind, port: sinkPort, count });
  const taken = await sink.ask({ kind: 'wait', count });
  if (taken.count !== count) throw new Error(`${kind}: ${count} messages were sent, the sink took ${taken.count}`);
  return arrivalsPerSecond(taken.arrivals, warmUp);
}

/** @throws when anything was answered but 202 */
export async function post(
  { load }: Bench,
  request: Pick<LoadRequest, 'url' | 'apiKey' | 'count' | 'firstNumber'>,
): Promise<LoadAnswer> {
  const done = await load.ask({ ...request, connections: httpConnections });
  if (done.accepted === request.count) return done;
  throw new Error(
    `${done.accepted} of ${request.count} posts to ${request.url} were accepted; one answer: ${done.refusal}`,
  );
}

export function accepting({ accepted, startedAt, endedAt, p50Ms, p99Ms }: LoadAnswer): Accepting {
  return {
    perSecond: (accepted * 1_000) / (endedAt - startedAt),
    p50Ms,
    p99Ms,
  };
}

/** The rate once the sender is warm. @param warmUp messages that do not count */
export function arrivalsPerSecond(arrivals: readonly number[], warmUp: number): number {
  return ((arrivals.length - 1 - warmUp) * 1_000) / ((arrivals.at(-1) ?? 0) - (arrivals[warmUp] ?? 0));
}
