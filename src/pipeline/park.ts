/**
 * park: puts an email aside until its transport can take it. One that was released to a worker without a connection is passed on to another
 * worker. An email whose time is over is settled with the reason it waited for, unless it only waits for a free connection: then it comes again at
 * once, and is admitted.
 */
import { notTaken, type SettledOutcome } from '../domain/outcome.ts';
import { ratesOf } from '../domain/standing.ts';
import type { TransportState } from '../domain/transport-state.ts';
import type { Transports } from '../outbound/transports.ts';
import type { Budgets, DueEmail } from '../store/budgets.ts';
import type { Refused } from './admit.ts';
import type { Parked } from './dispatch.ts';

type Deps = {
  transports: Pick<Transports, 'plan'>;
  known: ReadonlyMap<string, TransportState>;
  budgets: Pick<Budgets, 'park' | 'passOn' | 'forget'>;
  /** Wakes the loop of maintain-transports: there is something for it to do. */
  wake(): void;
  now(): number;
};

/** @param refused why its transport did not take it */
export async function park(
  deps: Deps,
  name: string,
  due: DueEmail,
  refused: Refused,
): Promise<Parked | SettledOutcome> {
  const isOver = due.endsAt <= deps.now() && refused.kind !== 'full';
  const isParked = refused.kind === 'over_budget';
  if (isOver) {
    if (isParked) await deps.budgets.forget(name, due.id, due.lane);
    return notTaken(name, refused.why);
  }
  if (!isParked && !due.isOfCampaign) {
    const rates = ratesOf(deps.transports.plan, deps.known, name, deps.now());
    const mayPassOn = rates.length > 0 && refused.kind === 'full' && refused.hasNone;
    if (mayPassOn && (await deps.budgets.passOn(name, due, deps.now()))) return { kind: 'parked' };
    await deps.budgets.park(name, [due], deps.now(), rates);
  }
  deps.wake();
  return due.isOfCampaign ? { kind: 'kept', transport: name } : { kind: 'parked' };
}
