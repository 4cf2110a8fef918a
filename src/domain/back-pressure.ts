/** Back-pressure: the limits above which new mail is refused, and the words for it. */

/** A percentage of Redis' `maxmemory`, or bytes. */
export type MemoryLine = { readonly percent: number } | { readonly bytes: number };

export type Lines = {
  readonly waitingEmails: number;
  readonly redisMemory: MemoryLine;
};

/** In bytes. `max` is 0 when Redis has no limit. */
export type RedisMemory = { readonly used: number; readonly max: number };

export type Load = { readonly waitingEmails: number; readonly redisMemory: RedisMemory };

const unitBytes: Readonly<Record<string, number>> = { kb: 1_024, mb: 1_024 ** 2, gb: 1_024 ** 3 };

/** Reads `90%`, `512mb` or `2gb`, units as in redis.conf; null when it is none of these. */
export function parseMemoryLine(text: string): MemoryLine | null {
  const [, digits = '', unit = ''] = /^(\d{1,6})(%|kb|mb|gb)$/i.exec(text) ?? [];
  const count = Number(digits);
  if (count < 1) return null;
  if (unit === '%') return count <= 100 ? { percent: count } : null;
  return { bytes: count * (unitBytes[unit.toLowerCase()] ?? 1) };
}

/** Which limit is passed, for people to read; null while there is room. */
export function overLine(load: Load, lines: Lines): string | null {
  const memory = memoryLineBytes(lines.redisMemory, load.redisMemory);
  const crossed = [
    ...(load.waitingEmails >= lines.waitingEmails
      ? [`${load.waitingEmails} emails are waiting, the limit is ${lines.waitingEmails} (MAX_WAITING_EMAILS)`]
      : []),
    ...(load.redisMemory.used >= memory
      ? [`Redis uses ${inMb(load.redisMemory.used)}, the limit is ${inMb(memory)} (MAX_REDIS_MEMORY)`]
      : []),
  ];
  return crossed.length === 0 ? null : crossed.join('; ');
}

/** A percentage of no limit is no limit. */
function memoryLineBytes(line: MemoryLine, { max }: RedisMemory): number {
  if ('bytes' in line) return line.bytes;
  return max === 0 ? Number.POSITIVE_INFINITY : (max * line.percent) / 100;
}

function inMb(bytes: number): string {
  return `${(bytes / 1_024 ** 2).toFixed(1)} MB`;
}
