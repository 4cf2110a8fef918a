/** Judges what Redis guarantees, from what it reports about itself: in words, and whether that is enough. Pure. */

/** What a server says about itself. null when it does not say, as with Redis' relatives and managed services. */
export type RedisFacts = {
  /** `Redis`, `Valkey`, or another name it gives itself. */
  readonly product: string;
  readonly version: string | null;
  readonly isReplica: boolean;
  readonly evictionPolicy: string | null;
  readonly hasAof: boolean | null;
  /** Whether its last write to the append-only file succeeded. */
  readonly isAofWritten: boolean;
  /** `appendfsync`, from CONFIG GET, which a managed service may forbid. */
  readonly fsync: string | null;
  readonly hasSnapshots: boolean | null;
  /** Whether its last snapshot failed, and it takes no writes for that. False when it does not let us ask. */
  readonly failsToSave: boolean;
  /** Whether it takes no writes because fewer replicas follow it than it must have. */
  readonly lacksReplicas: boolean;
};

/** What is lost when Redis crashes, from best to worst. */
export const guarantees = {
  always: 'a 202 survives a crash of Redis and of its machine (append-only file, appendfsync always)',
  everysec:
    'up to one second of what was answered 202 may be lost when the machine of Redis crashes (append-only file, appendfsync everysec)',
  no: 'up to half a minute of what was answered 202 may be lost when the machine of Redis crashes (append-only file, appendfsync no)',
  aof: 'a second or more of what was answered 202 may be lost when the machine of Redis crashes (it has an append-only file, and does not let us ask how often it is synced)',
  snapshots:
    'nothing is guaranteed: what came after the last snapshot is lost when Redis crashes (no append-only file)',
  none: 'nothing is guaranteed: all mail is lost when Redis crashes (no append-only file and no snapshots)',
  unknown: 'nothing is guaranteed: Redis does not tell whether it has an append-only file',
} as const;

type Guarantee = keyof typeof guarantees;

export type RedisStanding = {
  /** Such as `Redis 7.0.15`. */
  readonly server: string;
  readonly guarantee: Guarantee;
  /** What is guaranteed and what else is wrong, in words. */
  readonly words: string;
  /** Whether its settings are as they should be. */
  readonly isSound: boolean;
  /** Whether it takes writes, as far as it tells. */
  readonly isWritable: boolean;
  /** Why mail must not be stored in it; null when it meets the requirements. */
  readonly unfit: string | null;
  /** Why no process can start with it; a process that already runs waits instead, since this passes. Null when nothing forbids it. */
  readonly unfitToStart: string | null;
};

const leastVersion = [6, 2] as const;
/** Enough to lose no mail when only the process of Redis crashes. */
const soundGuarantees: readonly Guarantee[] = ['always', 'everysec', 'aof'];

/** @param mustBeDurable accept only what keeps every 202 (`REQUIRE_DURABLE_REDIS`) */
export function judgeRedis(facts: RedisFacts, mustBeDurable: boolean): RedisStanding {
  const server = facts.version === null ? facts.product : `${facts.product} ${facts.version}`;
  const guarantee = guaranteeOf(facts);
  const faults = faultsOf(facts);
  const refusals = refusalsOf(facts);
  const words = [guarantees[guarantee], ...faults, ...refusals].join('; ');
  const isKept = guarantee === 'always' && faults.length === 0;
  const tooOld = isTooOld(facts.version)
    ? `${server} is too old: Postrider needs ${leastVersion.join('.')} or later`
    : null;
  const tooLoose = mustBeDurable && !isKept ? `REQUIRE_DURABLE_REDIS is set, and of ${server} ${words}` : null;
  const unfit = tooOld ?? tooLoose;
  const replica = facts.isReplica ? `${server} is a replica, which takes no writes: give REDIS_URL its primary` : null;
  return {
    server,
    guarantee,
    words,
    isSound: soundGuarantees.includes(guarantee) && faults.length + refusals.length === 0,
    isWritable: !facts.isReplica && facts.isAofWritten && refusals.length === 0,
    unfit,
    unfitToStart: replica ?? unfit,
  };
}

function guaranteeOf({ hasAof, fsync, hasSnapshots }: RedisFacts): Guarantee {
  if (hasAof === null) return 'unknown';
  if (!hasAof) return hasSnapshots === false ? 'none' : 'snapshots';
  if (fsync === 'always' || fsync === 'everysec' || fsync === 'no') return fsync;
  return 'aof';
}

function faultsOf({ evictionPolicy, isReplica, isAofWritten }: RedisFacts): string[] {
  const evicts = evictionPolicy !== null && evictionPolicy !== 'noeviction';
  return [
    ...(evicts ? [`it drops keys when it is full (maxmemory-policy ${evictionPolicy} in place of noeviction)`] : []),
    ...(isReplica ? ['it is a replica, which takes no writes'] : []),
    ...(isAofWritten ? [] : ['its append-only file could not be written last time']),
  ];
}

/** Why it takes no writes, though it keeps what it has as it should. */
function refusalsOf({ failsToSave, lacksReplicas }: RedisFacts): string[] {
  return [
    ...(failsToSave ? ['it takes no writes, as its last snapshot failed (stop-writes-on-bgsave-error)'] : []),
    ...(lacksReplicas ? ['it takes no writes, as fewer replicas follow it than min-replicas-to-write asks for'] : []),
  ];
}

/** An unknown or unreadable version counts as new enough. */
function isTooOld(version: string | null): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  if (major === undefined) return false;
  const [leastMajor, leastMinor] = leastVersion;
  return Number(major) < leastMajor || (Number(major) === leastMajor && Number(minor) < leastMinor);
}
