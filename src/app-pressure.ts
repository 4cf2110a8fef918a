/** Composition of the back-pressure of the api role: when new mail is refused, because too much waits or Redis is too full. */
import type { Common } from './app.ts';
import { now } from './chance.ts';
import { openLoop } from './concurrency/loop.ts';
import { lanesTaken } from './domain/back-pressure.ts';
import { checkBackPressure, type Pressure } from './pipeline/check-back-pressure.ts';
import type { DeliverQueues } from './queue/deliver-queue.ts';

type Gauged = {
  readonly store: Pick<Awaited<ReturnType<Common['openStore']>>, 'due' | 'memory'>;
  readonly deliverQueues: DeliverQueues;
};

/** @returns which limits were passed at the last look */
export function openPressure(
  { config, report, meters, seenRedis, opened }: Common,
  { store: { due, memory }, deliverQueues }: Gauged,
): Readonly<Pressure> {
  const pressure: Pressure = { passed: null };
  const gauged = { due, deliverQueues, memory, limits: config.loadLimits, seenRedis };
  const deps = { ...gauged, pressure, report: report.backPressure, now };
  const everySecond = { everyMs: 1_000, onTrouble: report.trouble };
  opened.use(openLoop('check back-pressure', () => checkBackPressure(deps), everySecond));
  meters.watchIntake(() => lanesTaken(pressure.passed, seenRedis.standing));
  return pressure;
}
