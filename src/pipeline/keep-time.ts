/** keep-time: the whole fleet goes by the clock of Redis; each process reads it now and then, and tells when its own is another. */
import { type ClockReading, isOtherDifference } from '../domain/clock.ts';
import type { Clock } from '../store/clock.ts';

type Deps = {
  clock: Pick<Clock, 'read'>;
  /** Goes on by itself from one reading to the next. */
  fleet: { keep(reading: ClockReading): void; now(): number };
  /** What the machine says. */
  ownNow(): number;
  told: ToldDifference;
  /** Called with every look. @param isNews whether it is another difference than was told last */
  report(differenceMs: number, isNews: boolean): void;
};

/** By how much the own clock was ahead when that was told last; 0 at first, as nobody tells that clocks agree. */
export type ToldDifference = { ms: number };

/** @throws when Redis is away: until it is back, the clock goes on as it does */
export async function keepTime({ clock, fleet, ownNow, told, report }: Deps): Promise<void> {
  fleet.keep(await clock.read());
  const differenceMs = ownNow() - fleet.now();
  const isNews = isOtherDifference(differenceMs, told.ms);
  if (isNews) told.ms = differenceMs;
  report(differenceMs, isNews);
}
