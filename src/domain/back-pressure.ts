/** Back-pressure: the limits above which new mail is refused, and the words for it. */

/** A percentage of Redis' `maxmemory`, or bytes. */
type MemoryLimit = { readonly percent: number } | { readonly bytes: number };

export type LoadLimits = {
  readonly waitingEmails: number;
  readonly redisMemory: MemoryLimit;
};

/** In bytes. `max` is 0 when Redis has no limit. */
export type RedisMemory = { readonly used: number; readonly max: number };

type Load = { readonly waitingEmails: number; readonly redisMemory: RedisMemory };

const unitBytes: Readonly<Record<string, number>> = { kb: 1_024, mb: 1_024 ** 2, gb: 1_024 ** 3 };

/** Reads `90%`, `512mb` or `2gb`, units as in redis.conf; null when it is none of these. */
export function parseMemoryLimit(text: string): MemoryLimit | null {
  const [, digits = '', unit = ''] = /^(\d{1,6})(%|kb|mb|gb)$/i.exec(text) ?? [];
  const count = Number(digits);
  if (count < 1) return null;
  if (unit === '%') return count <= 100 ? { percent: count } : null;
  return { bytes: count * (unitBytes[unit.toLowerCase()] ?? 1) };
}

/** Which limits are passed, for people to read; null while there is room. */
export function limitPassed(load: Load, limits: LoadLimits): string | null {
  const memory = memoryLimitBytes(limits.redisMemory, load.redisMemory);
  const passed = [
    ...(load.waitingEmails >= limits.waitingEmails
      ? [`${load.waitingEmails} emails are waiting, the limit is ${limits.waitingEmails} (MAX_WAITING_EMAILS)`]
      : []),
    ...(load.redisMemory.used >= memory
      ? [`Redis uses ${inMb(load.redisMemory.used)}, the limit is ${inMb(memory)} (MAX_REDIS_MEMORY)`]
      : []),
  ];
  return passed.length === 0 ? null : passed.join('; ');
}

/** A percentage of no limit is no limit. */
function memoryLimitBytes(limit: MemoryLimit, { max }: RedisMemory): number {
  if ('bytes' in limit) return limit.bytes;
  return max === 0 ? Number.POSITIVE_INFINITY : (max * limit.percent) / 100;
}

function inMb(bytes: number): string {
  return `${(bytes / 1_024 ** 2).toFixed(1)} MB`;
}
