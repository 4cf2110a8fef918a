/** admit: decides whether a transport may take an email now. An admitted email has its tokens; on a degraded transport it is the trial. */
import { lineOf } from '../domain/lane.ts';
import type { Obstacle } from '../domain/outcome.ts';
import type { Rate } from '../domain/rate.ts';
import { freshState, isFirstOnItsWay, ratesOf, standingOf } from '../domain/standing.ts';
import { isTrialOpen, type TransportState } from '../domain/transport-state.ts';
import type { Outline, PoolState, Transport } from '../outbound/transport.ts';
import type { Transports } from '../outbound/transports.ts';
import type { Budgets, DueEmail } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  transports: Pick<Transports, 'plan'>;
  /** The fleet's states as this process knows them. */
  known: ReadonlyMap<string, TransportState>;
  /** Names of transports whose server takes messages and does not answer. */
  hanging: ReadonlySet<string>;
  states: Pick<TransportStates, 'read' | 'takeTrial'>;
  budgets: Pick<Budgets, 'admit' | 'giveBack'>;
  learn(name: string): Promise<void>;
  now(): number;
};

export type Admitted = {
  readonly kind: 'admitted';
  readonly transport: Transport;
  /** `trial`: the one message that shows whether the trouble of its transport is over. */
  readonly as: 'message' | 'trial';
  /** A token of each rate was taken. When nothing is handed over, the sender gives the tokens back. */
  readonly rates: readonly Rate[];
  /** When it was asked, right before the tokens were taken or the permit was used. */
  readonly at: number;
};

/** The transport takes no mail at all now: the next transport of the route is asked. */
export type OutOfService = { readonly kind: 'out_of_service'; readonly why: string };

export type Refused =
  | OutOfService
  /** The transport is in service, but no connection will be free soon. `hasNone`: this worker has none at all, and others may. */
  | { readonly kind: 'full'; readonly why: string; readonly hasNone: boolean }
  /** Other emails go first, or the rates are used up. The email is parked already by the same script, unless it is of a campaign. */
  | { readonly kind: 'over_budget'; readonly why: string };

/** An obstacle is known beforehand: it costs no token, no trial and no place in a line. */
export type Admission = Admitted | Refused | Obstacle;

export async function admit(deps: Deps, transport: Transport, outline: Outline, due: DueEmail): Promise<Admission> {
  const { name } = transport;
  const at = deps.now();
  const state = await stateOf(deps, name);
  const { pool } = transport;
  const standing = standingOf(name, state, { isStuck: pool.isStuck, isHanging: deps.hanging.has(name) });
  const obstacle = standing.kind === 'paused' ? null : transport.foresee(outline);
  if (obstacle !== null) return obstacle;
  switch (standing.kind) {
    case 'paused':
      return { kind: 'out_of_service', why: standing.why };
    case 'degraded': {
      const rates = isTrialOpen(state.breaker) && hasRoom(pool, due) ? await takeTrial(deps, name, due, at) : null;
      if (rates === null) return { kind: 'out_of_service', why: standing.why };
      return { kind: 'admitted', transport, as: 'trial', rates, at };
    }
    case 'stuck':
    case 'open': {
      const rates = ratesOf(deps.transports.plan, deps.known, name, deps.now());
      const full = standing.kind === 'stuck' ? standing.why : whyFull(transport, pool, due, rates);
      // After its end the email is admitted all the same and waits in the pool: perhaps only this worker has no free connection.
      if (full !== null && due.endsAt > deps.now()) return { kind: 'full', why: full, hasNone: isWithout(pool) };
      if (await takeToken(deps, name, rates, due)) return { kind: 'admitted', transport, as: 'message', rates, at };
      return { kind: 'over_budget', why: `transport ${name} had used up its rate` };
    }
  }
}

/** Right after the start, or after a change of the plan, maintain-transports has not read the state yet. */
async function stateOf({ known, states, transports }: Deps, name: string): Promise<TransportState> {
  const state = known.get(name);
  if (state !== undefined) return state;
  // A built-in transport, such as the sandbox, has no stored state.
  if (transports.plan.transports[name] === undefined) return freshState;
  return (await states.read([name])).get(name) ?? freshState;
}

/** Why the email would have to wait for a connection; null when it would not. */
function whyFull({ name }: Transport, pool: PoolState, due: DueEmail, rates: readonly Rate[]): string | null {
  if (pool.room[lineOf(due.lane, due.isOfCampaign)] === 0)
    return `transport ${name} has no connection free${due.lane === 'bulk' ? ' for bulk' : ''}`;
  return isFirstOnItsWay(pool) && rates.length > 0 ? `transport ${name} has no connection yet` : null;
}

/** Whether this worker was allotted no connection. One that is still being opened leaves room, or messages wait for it. */
function isWithout({ open, waiting, room }: PoolState): boolean {
  return open + waiting + Math.max(...Object.values(room)) === 0;
}

function hasRoom(pool: PoolState, { lane, isOfCampaign }: DueEmail): boolean {
  return !pool.isStuck && pool.room[lineOf(lane, isOfCampaign)] > 0;
}

/** @returns the rates a token was taken of; null when this email is not the trial: there was no token, or another email was first */
async function takeTrial(deps: Deps, name: string, due: DueEmail, at: number): Promise<readonly Rate[] | null> {
  const rates = ratesOf(deps.transports.plan, deps.known, name, deps.now());
  if (!(await takeToken(deps, name, rates, { ...due, isTrial: true }))) return null;
  const isFirst = await deps.states.takeTrial(name, deps.now());
  if (!isFirst) await deps.budgets.giveBack(name, rates, { count: 1, since: at }, deps.now());
  await deps.learn(name);
  return isFirst ? rates : null;
}

async function takeToken(deps: Deps, name: string, rates: readonly Rate[], due: DueEmail): Promise<boolean> {
  if (rates.length === 0) return true;
  const [isAdmitted = false] = await deps.budgets.admit(name, rates, [due], deps.now());
  return isAdmitted;
}
