/** When to try again: a list of waits, the last one repeated, with jitter. */

/** Each wait is spread by up to this share, so that mail deferred together does not return together. */
const jitter = 0.1;

/** The longest time until the last try, milliseconds. */
export function longestWait(waitsMs: readonly number[]): number {
  return Math.round(waitsMs.reduce((sum, wait) => sum + wait, 0) * (1 + jitter));
}

/** How long one wait may take: one of the schedule, or one that was asked for, of `mostAskedMs` at most. */
export function longestStep(waitsMs: readonly number[], mostAskedMs: number): number {
  return Math.ceil(Math.max(...waitsMs, mostAskedMs) * (1 + jitter));
}

/**
 * @param waitsMs the schedule, milliseconds; `attempt` 1 takes the first
 * @param rand uniform in [0, 1)
 * @param leastMs a wait that was asked for, milliseconds: the schedule may wait longer, never shorter
 * @returns milliseconds since the epoch
 */
export function nextTry(waitsMs: readonly number[], attempt: number, now: number, rand: number, leastMs = 0): number {
  const wait = Math.max(waitsMs[Math.min(attempt, waitsMs.length) - 1] ?? 0, leastMs);
  return Math.round(now + wait * (1 + jitter * rand));
}

/**
 * The share of an email's remaining time that is left after its last try, and its minimum: a try takes a while, and so does waiting for a turn.
 */
const lastTryShare = 0.1;
const lastTryLeastMs = 3_000;

/**
 * The last try before the end of an email's time, for an email whose next scheduled try would come after it.
 * @param rand uniform in [0, 1); the jitter makes it earlier, never later
 * @returns milliseconds since the epoch; null when so little time is left that it would follow right after this one
 */
export function lastTry(now: number, end: number, rand: number): number | null {
  const left = end - now;
  const keptMs = Math.max(left * lastTryShare, lastTryLeastMs);
  return left < 2 * keptMs ? null : Math.floor(now + (left - keptMs) * (1 - jitter * rand));
}
