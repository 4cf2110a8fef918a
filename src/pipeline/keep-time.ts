/** keep-time: the whole fleet uses the clock of Redis. Each process reads it now and then, and reports when its own clock differs. */
import { type ClockReading, isOtherDifference } from '../domain/clock.ts';
import type { Clock } from '../store/clock.ts';

type Deps = {
  clock: Pick<Clock, 'read'>;
  /** The clock of the fleet; it runs by itself between two readings. */
  fleetClock: { keep(reading: ClockReading): void; now(): number };
  /** The clock of this machine. */
  ownNow(): number;
  told: ToldDifference;
  /** Called at each reading. @param isNews whether the difference is another than the one reported last */
  report(differenceMs: number, isNews: boolean): void;
};

/** How far the own clock was ahead at the last report; 0 at first, because clocks that agree are not reported. */
type ToldDifference = { ms: number };

/** @throws when Redis is away: until it is back, the clock of the fleet runs by itself */
export async function keepTime({ clock, fleetClock, ownNow, told, report }: Deps): Promise<void> {
  fleetClock.keep(await clock.read());
  const differenceMs = ownNow() - fleetClock.now();
  const isNews = isOtherDifference(differenceMs, told.ms);
  if (isNews) told.ms = differenceMs;
  report(differenceMs, isNews);
}
