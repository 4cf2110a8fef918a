/** When to try again: a list of waits, the last one repeated, with jitter. */

/** Each wait is spread by up to this share, so that mail deferred together does not return together. */
const jitter = 0.1;

/**
 * @param waitsMs the schedule, milliseconds; `attempt` 1 takes the first.
 * @param rand uniform in [0, 1)
 * @returns milliseconds since the epoch
 */
export function nextTry(waitsMs: readonly number[], attempt: number, now: number, rand: number): number {
  const wait = waitsMs[Math.min(attempt, waitsMs.length) - 1] ?? 0;
  return Math.round(now + wait * (1 + jitter * rand));
}
