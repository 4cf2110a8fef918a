/** admit: whether a transport may take an email now. Who is admitted has a token of its budget, and tries it where it is in trouble. */
import { lineOf } from '../domain/lane.ts';
import type { Rate } from '../domain/rate.ts';
import { freshState, isFirstOnItsWay, ratesOf, standingOf } from '../domain/standing.ts';
import { isTrialOpen, type TransportState } from '../domain/transport-state.ts';
import type { PoolState, Transport } from '../outbound/transport.ts';
import type { Transports } from '../outbound/transports.ts';
import type { Budgets, DueEmail } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  transports: Pick<Transports, 'plan'>;
  /** The fleet's states as this process knows them. */
  known: ReadonlyMap<string, TransportState>;
  /** The transports that answer nothing they are given. */
  hanging: ReadonlySet<string>;
  states: Pick<TransportStates, 'read' | 'takeTrial'>;
  budgets: Pick<Budgets, 'admit' | 'giveBack' | 'forget'>;
  learn(name: string): Promise<void>;
  now(): number;
};

export type Admitted = {
  readonly kind: 'admitted';
  readonly transport: Transport;
  /** The message like any other, or the one that shows whether the trouble of its transport is over. */
  readonly as: 'message' | 'trial';
  /** A token of each was taken: whoever hands nothing over gives it back. */
  readonly rates: readonly Rate[];
};

/** The next of the route is asked. */
export type OutOfService = { readonly kind: 'out_of_service'; readonly why: string };

export type Refused =
  | OutOfService
  /** It is in service, and no connection would be free soon. */
  | { readonly kind: 'full'; readonly why: string }
  /** Others go before it, or its rates are used up. Who is not kept was parked by the step that found that. */
  | { readonly kind: 'over_budget'; readonly why: string };

export type Admission = Admitted | Refused;

export async function admit(deps: Deps, transport: Transport, due: DueEmail): Promise<Admission> {
  const { name } = transport;
  const state = await stateOf(deps, name);
  const { pool } = transport;
  const standing = standingOf(name, state, { isStuck: pool.isStuck, isHanging: deps.hanging.has(name) });
  switch (standing.kind) {
    case 'paused':
      return { kind: 'out_of_service', why: standing.why };
    case 'degraded': {
      const rates = isTrialOpen(state.breaker) && hasRoom(pool, due) ? await takeTrial(deps, name, due) : null;
      if (rates === null) return { kind: 'out_of_service', why: standing.why };
      return { kind: 'admitted', transport, as: 'trial', rates };
    }
    case 'stuck':
    case 'open': {
      const rates = ratesOf(deps.transports.plan, deps.known, name, deps.now());
      const full = standing.kind === 'stuck' ? standing.why : whyFull(transport, pool, due, rates);
      // Past its end it waits for a connection: it may be this worker alone that has none.
      if (full !== null && due.endsAt > deps.now()) return { kind: 'full', why: full };
      if (await takeToken(deps, name, rates, due)) return { kind: 'admitted', transport, as: 'message', rates };
      return { kind: 'over_budget', why: `transport ${name} had no budget for it` };
    }
  }
}

/** Right after the start, or when the plan has changed, `tend` has not read it yet. Not kept here: `tend` must see that it is new. */
async function stateOf({ known, states, transports }: Deps, name: string): Promise<TransportState> {
  const state = known.get(name);
  if (state !== undefined) return state;
  // A transport that is always there, as the sandbox is, has no state.
  if (transports.plan.transports[name] === undefined) return freshState;
  return (await states.read([name])).get(name) ?? freshState;
}

/** Why it would have to wait for a connection; null when it would not. */
function whyFull({ name }: Transport, pool: PoolState, due: DueEmail, rates: readonly Rate[]): string | null {
  if (pool.room[lineOf(due.lane, due.isKept)] === 0)
    return `transport ${name} has no connection free${due.lane === 'bulk' ? ' for bulk' : ''}`;
  return isFirstOnItsWay(pool) && rates.length > 0 ? `transport ${name} has no connection yet` : null;
}

function hasRoom(pool: PoolState, { lane, isKept }: DueEmail): boolean {
  return !pool.isStuck && pool.room[lineOf(lane, isKept)] > 0;
}

/** @returns the rates of which it took a token; null when it is not the one that tries, as it would wait for budget, or another was first */
async function takeTrial(deps: Deps, name: string, due: DueEmail): Promise<readonly Rate[] | null> {
  const rates = ratesOf(deps.transports.plan, deps.known, name, deps.now());
  if (!(await takeToken(deps, name, rates, due))) {
    // Another transport may take it: it does not wait for this one.
    await deps.budgets.forget(name, due.id, due.lane);
    return null;
  }
  const isFirst = await deps.states.takeTrial(name, deps.now());
  if (!isFirst) await deps.budgets.giveBack(name, rates, 1, deps.now());
  await deps.learn(name);
  return isFirst ? rates : null;
}

async function takeToken(deps: Deps, name: string, rates: readonly Rate[], due: DueEmail): Promise<boolean> {
  if (rates.length === 0) return true;
  const [isAdmitted = false] = await deps.budgets.admit(name, rates, [due], deps.now());
  return isAdmitted;
}
