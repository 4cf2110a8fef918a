/** What Redis says about itself: memory by family of keys, commands, and whether all work has been done. */
import type { Redis } from 'ioredis';
import { keys, queuePrefix } from '../src/store/keys.ts';
import { field } from './own-redis.ts';
import { until } from './processes.ts';

export type Family = {
  readonly name: string;
  readonly keys: number;
  readonly bytes: number;
};

export type Commands = {
  /** Executed, those inside scripts included. */
  readonly executed: number;
  /** Reads from sockets: commands that came together count once. */
  readonly reads: number;
  readonly byName: ReadonlyMap<string, number>;
};

const outboxGroup = 'notify';
const samplesPerFamily = 200;

/** Bytes the data takes: without what connections and the append-only buffer hold at this moment. */
export async function usedMemory(redis: Redis): Promise<number> {
  const info = await redis.info('memory');
  const bytes = (name: string) => Number(field(info, name) ?? 0);
  return bytes('used_memory') - bytes('mem_clients_normal') - bytes('mem_aof_buffer');
}

/** Waits until nothing is queued or in hand and every event has been handled. */
export async function untilSettled(redis: Redis): Promise<void> {
  let left = await unfinished(redis);
  const look = async () => {
    left = await unfinished(redis);
    return Object.values(left).every((count) => count === 0) ? left : null;
  };
  await until('all work to be done; left are', look, () => left);
}

/** Waits until nothing is left of the emails that ended. */
export async function untilForgotten(redis: Redis): Promise<void> {
  const look = async () => ((await redis.exists(keys.ended, keys.emptied)) === 0 ? true : null);
  await until('retention to be over', look, () => null);
}

async function unfinished(redis: Redis) {
  const [due, again, waiting, active, delayed, groups] = await Promise.all([
    redis.zcard(keys.due('transactional')),
    redis.zcard(keys.again('transactional')),
    redis.llen(`${queuePrefix}:deliver:wait`),
    redis.llen(`${queuePrefix}:deliver:active`),
    redis.zcard(`${queuePrefix}:deliver:delayed`),
    redis.xinfo('GROUPS', keys.outbox),
  ]);
  const group = (groups as unknown[][]).find((fields) => fields.includes(outboxGroup));
  if (group === undefined) throw new Error(`the outbox has no group ${outboxGroup}`);
  const events = {
    unread: Number(fieldOf(group, 'lag')),
    unacknowledged: Number(fieldOf(group, 'pending')),
  };
  return { due, again, waiting, active, delayed, ...events };
}

/** Families of keys, largest first: a key's name with ids left out is its family's. Sizes are those of a sample. */
export async function families(redis: Redis): Promise<Family[]> {
  const names = new Map<string, string[]>();
  for await (const page of redis.scanStream({ match: '*', count: 1_000 })) {
    for (const key of page as string[]) {
      const name = key.replace(/\b[a-z]{2}_[0-9a-z]{26}/, '*');
      const members = names.get(name);
      if (members === undefined) names.set(name, [key]);
      else members.push(key);
    }
  }
  const found = [...names].map(async ([name, members]): Promise<Family> => {
    const step = Math.max(1, Math.floor(members.length / samplesPerFamily));
    const sample = members.filter((_, i) => i % step === 0);
    const sizes = await Promise.all(sample.map((key) => redis.memory('USAGE', key, 'SAMPLES', 0)));
    const sum = sizes.reduce<number>((total, size) => total + Number(size ?? 0), 0);
    return {
      name,
      keys: members.length,
      bytes: (sum / sample.length) * members.length,
    };
  });
  return (await Promise.all(found)).sort((a, b) => b.bytes - a.bytes);
}

export async function commands(redis: Redis): Promise<Commands> {
  const [stats, byCommand] = [await redis.info('stats'), await redis.info('commandstats')];
  const calls = [...byCommand.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)];
  return {
    executed: Number(field(stats, 'total_commands_processed')),
    reads: Number(field(stats, 'total_reads_processed')),
    byName: new Map(calls.map(([, name = '', count]) => [name, Number(count)])),
  };
}

function fieldOf(fields: readonly unknown[], name: string): unknown {
  return fields[fields.indexOf(name) + 1];
}
