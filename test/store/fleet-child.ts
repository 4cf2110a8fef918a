/** One worker of a fleet, as a process of its own: does what its test says together with the others, and prints what came of it. */
import { openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { openRedis } from '../../src/store/redis.ts';
import { openTransportStates } from '../../src/store/transport-states.ts';

const [, , url = '', task = '', worker = '', count = ''] = process.argv;
const redis = await openRedis({ url }, 'wait');
const states = openTransportStates(redis);
const budgets = openBudgets(redis);

/** Everybody stands ready before anybody begins: waits for as many as there are. */
async function together(of: string): Promise<void> {
  await redis.incr(`together:${of}`);
  while (Number(await redis.get(`together:${of}`)) < Number(count));
}

let lastEvent = 0;
const event = (at: number) => ({ id: `ev_${worker}_${lastEvent++}`, at });

/** Each round is a transport of its own; twenty reports of each worker at once, then everybody wants to probe it, then all say it is well. */
async function breaker(): Promise<unknown> {
  let probes = 0;
  const fault = { cause: 'connect', reason: `seen by ${worker}` } as const;
  for (let round = 0; round < 10; round++) {
    const name = `t${round}`;
    const all = <T>(report: () => Promise<T>) => Promise.all(Array.from({ length: 20 }, report));
    await together(name);
    await all(() => states.fault(name, fault, event(1_000)));
    probes += (await all(() => states.takeProbe(name, 2_000))).filter(Boolean).length;
    await together(`${name} again`);
    await all(() => states.success(name, 'probe', event(2_500)));
  }
  return { probes };
}

const rates = [{ count: 100, windowMs: 1_000 }];
const forMs = 3_000;
const roundMs = 2;

/**
 * Sends as a worker does: new mail asks for itself, what is parked comes back by releases and asks again. Time is a count in Redis,
 * two milliseconds for each round of anybody: a machine that is slow, or holds one of us up, only makes it pass more slowly.
 */
async function rate(): Promise<unknown> {
  const sent: number[] = [];
  const send = async (ids: readonly string[], now: number) => {
    const emails = ids.map((id) => ({ id, lane: 'bulk', dueAt: 1, endsAt: now + 3_600_000 }) as const);
    const may = await Promise.all(emails.map((email) => budgets.admit('ses', rates, [email], now)));
    sent.push(...may.filter(([goes]) => goes).map(() => now));
  };
  await together('rate');
  for (;;) {
    const now = await redis.incrby('clock', roundMs);
    if (now > forMs) return { sent };
    await send([`${worker}-${now}`], now);
    await budgets.release('ses', rates, { max: 500 }, now);
    const due = await redis.zrangebyscore(keys.again('bulk'), '-inf', now, 'LIMIT', 0, 100);
    const isOurs = await Promise.all(due.map((id) => redis.zrem(keys.again('bulk'), id)));
    await send(
      due.filter((_, index) => isOurs[index] === 1),
      now,
    );
  }
}

process.stdout.write(`${JSON.stringify(task === 'rate' ? await rate() : await breaker())}\n`);
redis.disconnect();
