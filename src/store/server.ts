/** What the server tells of itself: version, role, eviction and persistence. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { RedisFacts } from '../domain/redis-standing.ts';
import { isRedisTrouble } from './redis.ts';

/** A server that takes longer for the least of commands is away. */
const pingMs = 1_000;

/** Between a connection and its being ready there is an answer or two. */
const hesitationMs = 2_000;

export type Server = ReturnType<typeof openServer>;

export function openServer(redis: Redis) {
  /** Null where it is refused: managed services forbid CONFIG, and a user may lack it. */
  async function setting(name: string): Promise<string | null> {
    const answer = (await redis.config('GET', name).catch(nullUnlessAway)) as readonly string[] | null;
    return answer?.[1] ?? null;
  }

  return {
    async facts(): Promise<RedisFacts> {
      const [info, fsync, save] = await Promise.all([redis.info(), setting('appendfsync'), setting('save')]);
      return readFacts(info, { fsync, save });
    },

    /** Whether it answers now. One that is there and says nothing is away; that we were too busy to read what it said is no silence. */
    async ping(): Promise<boolean> {
      const silence = new AbortController();
      // A timer that is late is told before what came meanwhile is read, which is by the next turn.
      const silent = sleep(pingMs, undefined, { signal: silence.signal })
        .then(() => nextTurn(''))
        .catch(() => '');
      const answer = await Promise.race([redis.ping().catch(() => ''), silent]);
      silence.abort();
      return answer === 'PONG';
    },

    /** Calls `listener` with why it cannot be reached, whenever that is another reason, and with null once it can be again. */
    onReach(listener: (why: string | null) => void): void {
      let told: string | null = null;
      const tell = (why: string | null) => {
        if (why !== told) listener(why);
        told = why;
      };
      let hesitates: NodeJS.Timeout | undefined;
      redis.on('error', (error: Error) => tell(error.message));
      redis.on('close', () => {
        clearTimeout(hesitates);
        tell(told ?? 'the connection was closed');
      });
      redis.on('connect', () => {
        hesitates = setTimeout(tell, hesitationMs, 'it is there, and loads its data or does not answer').unref();
      });
      redis.on('ready', () => {
        clearTimeout(hesitates);
        tell(null);
      });
    },

    /** Calls `listener` whenever a connection has been made again: another server may have taken the place of the one that went. */
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

/** @param settings null where CONFIG GET was refused */
export function readFacts(info: string, settings: { fsync: string | null; save: string | null }): RedisFacts {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? null;
  const [product, version] = relatives
    .map(([name, key]) => [name, field(key)] as const)
    .find(([, found]) => found !== null) ?? ['Redis', null];
  const aof = field('aof_enabled');
  const { fsync, save } = settings;
  return {
    product,
    version,
    isReplica: field('role') === 'slave',
    evictionPolicy: field('maxmemory_policy'),
    hasAof: aof === null ? null : aof !== '0',
    isAofWritten: (field('aof_last_write_status') ?? 'ok') === 'ok',
    fsync,
    hasSnapshots: save === null ? null : save !== '',
  };
}

/** Redis' relatives also tell the version of Redis that they speak like; their own comes first. */
const relatives = [
  ['Valkey', 'valkey_version'],
  ['Dragonfly', 'dragonfly_version'],
  ['Redis', 'redis_version'],
] as const;
