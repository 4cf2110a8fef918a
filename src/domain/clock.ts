/** The clock of the fleet is that of Redis. This is how one process follows it from single readings. Pure. */

/** One reading of Redis' clock. */
export type ClockReading = {
  /** How far Redis' clock is ahead of the steady clock of this process, which counts from its start (milliseconds). */
  readonly aheadMs: number;
  /** How long the answer took. Redis read its clock at an unknown moment in that time, so the reading is exact to half of it. */
  readonly roundTripMs: number;
};

/**
 * @returns how far the clock of the fleet is ahead of the steady clock from now on. A reading that agrees with the old value changes nothing.
 */
export function correctedAhead(keptMs: number | null, { aheadMs, roundTripMs }: ClockReading): number {
  return keptMs !== null && Math.abs(aheadMs - keptMs) <= roundTripMs / 2 ? keptMs : aheadMs;
}

/** `now` of two processes differs by less. A time further ahead was written before the clock was set back, and must hold up nothing until then. */
export const clockSkewMs = 5_000;

/**
 * For a correction backwards by less than this, the clock stands still, so that time never runs backwards in a process. A larger step is
 * followed: then the clock of Redis itself was set back.
 */
export const standStillMs = 1_000;

/** Clocks that differ by more are logged. With NTP they differ by milliseconds. */
export const worthTellingMs = 2_000;

/** Whether the difference between the clocks has changed enough since it was last logged (0 when it never was). */
export function isOtherDifference(differenceMs: number, toldMs: number): boolean {
  return Math.abs(differenceMs - toldMs) > worthTellingMs;
}
