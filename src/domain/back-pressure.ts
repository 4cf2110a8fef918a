/** Back-pressure: the limits above which new mail is refused, and the words for it. */
import { type Lane, lanes } from './lane.ts';
import type { RedisStanding } from './redis-standing.ts';

/** A percentage of Redis' `maxmemory`, or bytes. */
type MemoryLimit = { readonly percent: number } | { readonly bytes: number };

export type LoadLimits = {
  /** Of each lane. */
  readonly waitingEmails: number;
  readonly redisMemory: MemoryLimit;
};

/** In bytes. `max` is 0 when Redis has no limit. */
export type RedisMemory = { readonly used: number; readonly max: number };

type Load = { readonly waitingEmails: Readonly<Record<Lane, number>>; readonly redisMemory: RedisMemory };

/** The lanes whose new mail is refused, and why, for people to read. */
export type LimitPassed = { readonly lanes: readonly Lane[]; readonly reason: string };

const unitBytes: Readonly<Record<string, number>> = { kb: 1_024, mb: 1_024 ** 2, gb: 1_024 ** 3 };

/** Reads `90%`, `512mb` or `2gb`, units as in redis.conf; null when it is none of these. */
export function parseMemoryLimit(text: string): MemoryLimit | null {
  const [, digits = '', unit = ''] = /^(\d{1,6})(%|kb|mb|gb)$/i.exec(text) ?? [];
  const count = Number(digits);
  if (count < 1) return null;
  if (unit === '%') return count <= 100 ? { percent: count } : null;
  return { bytes: count * (unitBytes[unit.toLowerCase()] ?? 1) };
}

/** Which limits are passed; null while there is room. Mail that waits in one lane is no reason to refuse the other; a full Redis is. */
export function limitPassed({ waitingEmails, redisMemory }: Load, limits: LoadLimits): LimitPassed | null {
  const memory = memoryLimitBytes(limits.redisMemory, redisMemory);
  const isFull = redisMemory.used >= memory;
  const crowded = lanes.filter((lane) => waitingEmails[lane] >= limits.waitingEmails);
  const reasons = [
    ...crowded.map((lane) => `${waitingEmails[lane]} ${lane} emails are waiting, ${waitingLimit(limits)}`),
    ...(isFull ? [`Redis uses ${inMb(redisMemory.used)}, the limit is ${inMb(memory)} (MAX_REDIS_MEMORY)`] : []),
  ];
  return reasons.length === 0 ? null : { lanes: isFull ? lanes : crowded, reason: reasons.join('; ') };
}

/**
 * The lanes whose new mail is taken while Redis answers.
 * @param passed the limits that were passed at the last look
 * @param standing null while nothing is known of Redis
 */
export function lanesTaken(passed: LimitPassed | null, standing: RedisStanding | null): readonly Lane[] {
  const canStore = standing === null || (standing.isWritable && standing.unfit === null);
  return canStore ? lanes.filter((lane) => passed?.lanes.includes(lane) !== true) : [];
}

function waitingLimit(limits: LoadLimits): string {
  return `the limit is ${limits.waitingEmails} (MAX_WAITING_EMAILS)`;
}

/** A percentage of no limit is no limit. */
function memoryLimitBytes(limit: MemoryLimit, { max }: RedisMemory): number {
  if ('bytes' in limit) return limit.bytes;
  return max === 0 ? Number.POSITIVE_INFINITY : (max * limit.percent) / 100;
}

function inMb(bytes: number): string {
  return `${(bytes / 1_024 ** 2).toFixed(1)} MB`;
}
