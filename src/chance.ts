/** Clocks, randomness and ids. All other code gets them as arguments. */
import { randomBytes, randomFillSync, randomUUID } from 'node:crypto';
import { type ClockReading, correctedAhead, standStillMs } from './domain/clock.ts';
import { type IdPrefix, makeId } from './domain/id.ts';

/** The clock of this machine: for times that outsiders compare with their own clock, such as signatures. What the fleet shares uses `now`. */
export const ownNow = () => Date.now();
/** Milliseconds of a clock that never goes back. */
export const monotonicNow = () => performance.now();

/** CPU time of this thread in milliseconds. Unlike real time, it does not grow while the process waits for others. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** The clock of the fleet: it runs by `steady` between two readings of Redis, and is `own` before the first reading. */
export function makeFleetClock(own: () => number, steady: () => number) {
  let aheadMs: number | null = null;
  let latest = 0;
  return {
    keep(reading: ClockReading): void {
      const corrected = correctedAhead(aheadMs, reading);
      // Before the first reading, and after a large step back, earlier times do not count.
      if (aheadMs === null || corrected < aheadMs - standStillMs) latest = 0;
      aheadMs = corrected;
    },
    /** Whole milliseconds since the epoch. */
    now(): number {
      if (aheadMs === null) return own();
      latest = Math.max(latest, Math.floor(steady() + aheadMs));
      return latest;
    },
  };
}

export const fleetClock = makeFleetClock(ownNow, monotonicNow);
export const { now } = fleetClock;
export const rand = () => Math.random();
export const entropy = (bytes: number): Buffer => randomBytes(bytes);
export const newUuid = () => randomUUID();
/** AES-GCM takes 12 bytes. */
export const newIv = () => entropy(12);

const idEntropyBytes = 10;
/** Random bytes for 400 ids at a time: a draw costs 3 µs, whatever its size. */
const pool = Buffer.alloc(idEntropyBytes * 400);
let used = pool.length;

export function newId(prefix: IdPrefix): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += idEntropyBytes;
  return makeId(prefix, now(), pool.subarray(used - idEntropyBytes, used));
}
