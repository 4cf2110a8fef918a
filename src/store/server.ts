/** Facts about the Redis server: version, role, eviction and persistence. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { RedisFacts } from '../domain/redis-standing.ts';
import { isRedisTrouble } from './redis.ts';

/** A server that takes longer for a PING is away. */
const pingMs = 1_000;

/** Between a connection and its being ready there is an answer or two. */
const hesitationMs = 2_000;

/** One by one, as Redis before 7 tells one at a time. */
const settingsAsked = ['appendfsync', 'save', 'stop-writes-on-bgsave-error', 'min-replicas-to-write'] as const;
type Setting = (typeof settingsAsked)[number];
/** By name; null when CONFIG GET was refused. */
type Settings = Readonly<Record<Setting, string | null>>;

export type Server = ReturnType<typeof openServer>;

export function openServer(redis: Redis) {
  /** Null when CONFIG is refused: managed services forbid it, and a user may lack the right. */
  async function setting(name: Setting): Promise<readonly [Setting, string | null]> {
    const answer = (await redis.config('GET', name).catch(nullUnlessAway)) as readonly string[] | null;
    return [name, answer?.[1] ?? null];
  }

  return {
    async facts(): Promise<RedisFacts> {
      const [info, ...settings] = await Promise.all([redis.info(), ...settingsAsked.map(setting)]);
      return readFacts(info, Object.fromEntries(settings) as Settings);
    },

    /** Whether Redis answers now. A silent server counts as away, but not when this process was only too busy to read the answer. */
    async ping(): Promise<boolean> {
      const silence = new AbortController();
      // A late timer fires before an answer that has arrived is read: that happens by the next turn of the event loop.
      const silent = sleep(pingMs, undefined, { signal: silence.signal })
        .then(() => nextTurn(''))
        .catch(() => '');
      const answer = await Promise.race([redis.ping().catch(() => ''), silent]);
      silence.abort();
      return answer === 'PONG';
    },

    /** Calls `listener` with each reason why Redis cannot be reached, once, and with null when it can be reached again. */
    onReach(listener: (why: string | null) => void): void {
      const told = new Set<string>();
      const tell = (why: string | null) => {
        if (why === null ? told.size > 0 : !told.has(why)) listener(why);
        if (why === null) told.clear();
        else told.add(why);
      };
      let hesitates: NodeJS.Timeout | undefined;
      redis.on('error', (error: Error) => tell(error.message));
      redis.on('close', () => {
        clearTimeout(hesitates);
        if (told.size === 0) tell('the connection was closed');
      });
      redis.on('connect', () => {
        hesitates = setTimeout(tell, hesitationMs, 'it is there, and loads its data or does not answer').unref();
      });
      redis.on('ready', () => {
        clearTimeout(hesitates);
        tell(null);
      });
    },

    /** Calls `listener` after each reconnect: it may lead to another server. */
    onReturn(listener: () => void): void {
      redis.on('ready', listener);
    },
  };
}

function nullUnlessAway(error: Error): null {
  const isForbidden = error.message.startsWith('NOPERM');
  if (isRedisTrouble(error) && !isForbidden) throw error;
  return null;
}

export function readFacts(info: string, settings: Settings): RedisFacts {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? null;
  const [product, version] = relatives
    .map(([name, key]) => [name, field(key)] as const)
    .find(([, found]) => found !== null) ?? ['Redis', null];
  const aof = field('aof_enabled');
  const { appendfsync: fsync, save } = settings;
  const stopsUnsaved = Boolean(save) && settings['stop-writes-on-bgsave-error'] === 'yes';
  // Told only by one that must have some: at least one, if it does not let us ask how many.
  const goodReplicas = field('min_slaves_good_slaves');
  const neededReplicas = Number(settings['min-replicas-to-write'] ?? 1);
  return {
    product,
    version,
    isReplica: field('role') === 'slave',
    evictionPolicy: field('maxmemory_policy'),
    hasAof: aof === null ? null : aof !== '0',
    isAofWritten: (field('aof_last_write_status') ?? 'ok') === 'ok',
    fsync,
    hasSnapshots: save === null ? null : save !== '',
    failsToSave: stopsUnsaved && field('rdb_last_bgsave_status') === 'err',
    lacksReplicas: goodReplicas !== null && Number(goodReplicas) < neededReplicas,
  };
}

/** Servers such as Valkey also report the version of Redis that they are compatible with; their own comes first. */
const relatives = [
  ['Valkey', 'valkey_version'],
  ['Dragonfly', 'dragonfly_version'],
  ['Redis', 'redis_version'],
] as const;
