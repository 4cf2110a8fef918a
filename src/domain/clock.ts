/** The clock of the fleet, which is that of Redis, as one process keeps it: what follows from a reading. Pure. */

/** One look at the clock of Redis. */
export type ClockReading = {
  /** How far it is ahead of the steady clock of this process, which counts from the start of the process (milliseconds). */
  readonly aheadMs: number;
  /** What the answer took. Nobody knows when within that time Redis looked at its clock, so the reading is right within half of it. */
  readonly roundTripMs: number;
};

/** @returns how far the clock of the fleet is ahead of the steady one from now on. What a reading does not contradict is left as it is. */
export function correctedAhead(keptMs: number | null, { aheadMs, roundTripMs }: ClockReading): number {
  return keptMs !== null && Math.abs(aheadMs - keptMs) <= roundTripMs / 2 ? keptMs : aheadMs;
}

/** A correction back by less is waited out by standing still, so that no time of a process is before one that it had; Redis was put back by more. */
export const standStillMs = 1_000;

/** Clocks that differ by more are worth a line; kept right by NTP they differ by milliseconds. */
export const worthTellingMs = 2_000;

/** Whether clocks differ otherwise than was told last (0 when nothing was). */
export function isOtherDifference(differenceMs: number, toldMs: number): boolean {
  return Math.abs(differenceMs - toldMs) > worthTellingMs;
}
