/**
 * explain-expiry: says why an expired email was not sent in time: the file it waited for, or what kept the first transport of its route that
 * can take such a message from taking it.
 */
import { hostOf, type MissingFile } from '../domain/attachment.ts';
import type { Rate } from '../domain/rate.ts';
import { freshState, standingOf } from '../domain/standing.ts';
import { routeFor } from '../domain/transport-plan.ts';
import { pacedRates } from '../domain/transport-state.ts';
import type { Outline } from '../outbound/transport.ts';
import type { Transports } from '../outbound/transports.ts';
import type { Budgets } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  transports: Pick<Transports, 'plan' | 'get'>;
  states: Pick<TransportStates, 'read'>;
  budgets: Pick<Budgets, 'left' | 'countParked'>;
  now(): number;
};

/** @returns null when a transport could have taken it: then the email waited for a worker, or for its own time; or when a reason is stored already */
export async function explainExpiry(deps: Deps, outline: Outline, missing: MissingFile | null): Promise<string | null> {
  const { facts, state } = outline.email;
  // A file that was asked for in vain says so already. The host alone: the rest of a URL may be secret.
  if (missing !== null)
    return state.recipients.some(({ reason }) => reason !== null)
      ? null
      : `it waited for a file from ${hostOf(missing.url)}`;
  const { plan } = deps.transports;
  const names = routeFor(plan, facts).transports;
  const states = await deps.states.read(names);
  let first: string | null = null;
  for (const name of names) {
    const settings = plan.transports[name];
    const transport = deps.transports.get(name);
    if (settings === undefined || transport === null) continue;
    const { pool } = transport;
    const state = states.get(name) ?? freshState;
    const standing = standingOf(name, state, pool);
    // As in admit: the email did not wait for one that was known not to take it.
    if (standing.kind !== 'paused' && transport.foresee(outline) !== null) continue;
    if (standing.kind === 'open' || (standing.kind === 'stuck' && !pool.isHanging))
      return whyFull(deps, name, pacedRates(settings, state, deps.now()).rates);
    first ??= standing.why;
  }
  return first;
}

/** Rates are checked first: they stop mail before connections do. The email itself may be parked no more, so all parked mail counts. */
async function whyFull({ budgets, now }: Deps, name: string, rates: readonly Rate[]): Promise<string | null> {
  const [left, counts] = await Promise.all([budgets.left(name, rates, now()), budgets.countParked([name])]);
  const isUsedUp = left.some(({ remaining, nextAt }) => (remaining === null ? nextAt > now() : remaining < 1));
  const { transactional = 0, bulk = 0 } = counts.get(name) ?? {};
  if (isUsedUp) return `transport ${name} had used up its rate`;
  return transactional + bulk > 0 ? `transport ${name} had no free connection` : null;
}
