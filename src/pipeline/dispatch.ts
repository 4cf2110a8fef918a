/** dispatch: an email goes over the first transport of its route that can take it, or is parked until one can. */
import { endOf, type RetryPolicy } from '../domain/decide.ts';
import type { StoredEmail } from '../domain/email.ts';
import { type Lane, lineOf } from '../domain/lane.ts';
import type { Obstacle, Outcome, SettledOutcome, Withheld } from '../domain/outcome.ts';
import type { Rate } from '../domain/rate.ts';
import { nextDue } from '../domain/recipient.ts';
import { sandboxTransport } from '../domain/sandbox.ts';
import {
  freshState,
  isFirstOnItsWay,
  isOfTransport,
  type Standing,
  standingOf,
  verdictOf,
} from '../domain/standing.ts';
import { type Choice, routeFor } from '../domain/transport-plan.ts';
import { isTrialOpen, pacedRates, type TransportState } from '../domain/transport-state.ts';
import type { Message, Transport } from '../outbound/transport.ts';
import type { Transports } from '../outbound/transports.ts';
import type { Budgets } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  transports: Pick<Transports, 'plan' | 'get'>;
  /** The fleet's states as this process knows them. */
  known: Map<string, TransportState>;
  /** The transports that answer nothing they are given. */
  hanging: ReadonlySet<string>;
  states: Pick<TransportStates, 'read' | 'fault' | 'success' | 'brake' | 'takeTrial' | 'giveTrialBack'>;
  budgets: Pick<Budgets, 'admit' | 'park' | 'giveBack' | 'forget'>;
  policies: Readonly<Record<Lane, RetryPolicy>>;
  /** What goes on beside the mail, and a stop waits for. It never throws. */
  beside(work: Promise<void>): void;
  /** Tells `tend` that there is something for it to do. */
  wake(): void;
  onTrouble(part: 'dispatch', error: unknown): void;
  newId(prefix: 'ev'): string;
  now(): number;
};

/** Past its end an email is still tried for so long where nothing but a free connection is wanting. */
const lastChanceMs = 60_000;

/** One email on its way out. */
export type Outgoing = {
  readonly email: StoredEmail;
  readonly isSandbox: boolean;
  /** Made once, when a transport is there to take it. An outcome when it cannot be made. */
  message(transport: string): Promise<Message | SettledOutcome | Withheld>;
  /** Asked right before the body leaves. */
  claim(transport: string): Promise<boolean>;
  /** Whoever brought it has a place for it to wait, and brings it again: it is not parked. */
  readonly isKept?: boolean;
};

/** It waits for its transport, and was put where it comes from when that can take it, unless it is kept by whoever brought it. */
export type Parked = { readonly kind: 'parked' };

export type Dispatched = SettledOutcome | Withheld | Parked;

/** A transport of the route that was not asked. */
type Skipped = { readonly name: string; readonly why: string };

export async function dispatch(deps: Deps, parcel: Outgoing): Promise<Dispatched> {
  const choice = choose(deps, parcel);
  let fault: SettledOutcome | Withheld | null = null;
  let obstacle: Obstacle | null = null;
  let skipped: Skipped | null = null;
  for (const name of inOrder(deps, choice)) {
    const transport = deps.transports.get(name);
    if (transport === null) {
      skipped ??= { name, why: `transport ${name} is gone` }; // the plan changed this moment
      continue;
    }
    const state = await stateOf(deps, name);
    const standing = standingOf(name, state, { ...transport.pool, isHanging: deps.hanging.has(name) });
    const isTrial = standing.kind === 'degraded';
    if (standing.kind === 'paused' || isTrial) {
      const isTried = isTrial && isTrialOpen(state.breaker) && (await isTheTrial(deps, parcel, transport));
      if (!isTried) {
        skipped ??= { name, why: standing.why };
        continue;
      }
    } else {
      const full = fullnessOf(deps, transport, standing, parcel);
      // Past its end it waits for a connection: it may be this worker alone that has none.
      if (full !== null && !isOver(deps, parcel)) return park(deps, parcel, name, full);
      if (!(await isAdmitted(deps, parcel, name))) return waitForBudget(deps, parcel, name);
    }
    const outcome = await sendOver(deps, parcel, transport, { reserve: choice.reserve, isTrial });
    if (outcome.is.kind === 'obstacle') obstacle = narrower(obstacle, outcome.is);
    else if (!outcome.mayGoOn) return outcome.is;
    else fault = outcome.is;
  }
  if (fault !== null) return fault;
  if (skipped !== null) return waitFor(deps, parcel, skipped, obstacle !== null);
  if (obstacle === null) throw new Error(`Route ${choice.route} has no transport`);
  return { ...obstacle, kind: 'undeliverable' };
}

/** What hangs is asked last: an email that has another way goes that way, and one that has none waits as it does for any connection. */
function inOrder({ hanging }: Deps, { transports }: Choice): readonly string[] {
  return transports.toSorted((a, b) => Number(hanging.has(a)) - Number(hanging.has(b)));
}

/** To whom a message cannot go over either of two hops: to those whom the pickier one takes, it can. */
function narrower(one: Obstacle | null, other: Obstacle): Obstacle {
  return one !== null && one.recipients.length <= other.recipients.length ? one : other;
}

/** @param isAlone whether others of its route are in service, and it is this message that they cannot take */
async function waitFor(deps: Deps, parcel: Outgoing, { name, why }: Skipped, isAlone: boolean): Promise<Dispatched> {
  // Whoever brought it would keep others waiting that could go.
  return isAlone && parcel.isKept ? faultOf(name, why) : park(deps, parcel, name, why);
}

/** Right after the start, or when the plan has changed, `tend` has not read it yet. Not kept here: `tend` must see that it is new. */
async function stateOf(deps: Deps, name: string): Promise<TransportState> {
  const known = deps.known.get(name);
  if (known !== undefined) return known;
  // A transport that is always there, as the sandbox is, has no state.
  if (deps.transports.plan.transports[name] === undefined) return freshState;
  return (await deps.states.read([name])).get(name) ?? freshState;
}

function choose(deps: Deps, { email: { facts }, isSandbox }: Outgoing): Choice {
  if (isSandbox) return { route: sandboxTransport, transports: [sandboxTransport], reserve: 0 };
  return routeFor(deps.transports.plan, facts);
}

async function learn({ states, known }: Deps, name: string): Promise<void> {
  for (const [read, state] of await states.read([name])) known.set(read, state);
}

/** Why it would have to wait for a connection; null when it would not. */
function fullnessOf(deps: Deps, { name, pool }: Transport, standing: Standing, parcel: Outgoing): string | null {
  if (standing.kind === 'stuck') return standing.why;
  if (pool.room[lineOf(parcel.email.facts.lane, parcel.isKept)] === 0)
    return `transport ${name} has no connection free${parcel.email.facts.lane === 'bulk' ? ' for bulk' : ''}`;
  return isFirstOnItsWay(pool) && ratesOf(deps, name).length > 0 ? `transport ${name} has no connection yet` : null;
}

/** Whether this email is the one that shows whether the trouble is over: it has a connection and budget at once, and is the first. */
async function isTheTrial(deps: Deps, parcel: Outgoing, transport: Transport): Promise<boolean> {
  const { name, pool } = transport;
  const { id, lane } = parcel.email.facts;
  if (pool.isStuck || pool.room[lineOf(parcel.email.facts.lane, parcel.isKept)] === 0) return false;
  if (!(await isAdmitted(deps, parcel, name))) {
    // Another transport may take it: it does not wait for this one.
    await deps.budgets.forget(name, id, lane);
    return false;
  }
  const isFirst = await deps.states.takeTrial(name, deps.now());
  if (!isFirst) await giveBack(deps, name);
  await learn(deps, name);
  return isFirst;
}

type Sent = {
  readonly is: Outcome | SettledOutcome;
  /** Nothing was handed over, and the trouble is the transport's own. */
  readonly mayGoOn: boolean;
};

type Way = { readonly reserve: number; readonly isTrial: boolean };

async function sendOver(deps: Deps, parcel: Outgoing, transport: Transport, way: Way): Promise<Sent> {
  const { name } = transport;
  const { reserve, isTrial } = way;
  let isClaimed = false;
  const claim = () => {
    isClaimed = true;
    return parcel.claim(name);
  };
  const turn = { lane: parcel.email.facts.lane, reserve, isKept: parcel.isKept ?? false };
  const attempt = async () => {
    const message = await parcel.message(name);
    if ('kind' in message) return { isMade: false, outcome: message };
    return { isMade: true, outcome: await transport.send(message, claim, turn) };
  };
  const { isMade, outcome } = await attempt().catch(async (error: unknown) => {
    if (!isClaimed) await handBack(deps, name, isTrial);
    throw error;
  });
  if (!isClaimed) await handBack(deps, name, isTrial && verdictOf(outcome).kind === 'nothing');
  if (!isMade) return { is: outcome, mayGoOn: false };
  if (outcome.kind === 'withheld' && !isClaimed && isOver(deps, parcel, lastChanceMs))
    return { is: faultOf(name, `transport ${name} had no free connection`), mayGoOn: false };
  const telling = tell(deps, name, outcome, isTrial).catch((error: unknown) => deps.onTrouble('dispatch', error));
  // What was answered is written down beside what the fleet hears of it, and waits for none of that: a kill meanwhile would make it unknown.
  if (isClaimed) deps.beside(telling);
  else await telling;
  return { is: outcome, mayGoOn: !isClaimed && isOfTransport(outcome) };
}

/** Nothing was handed over: its token is for another, and so is the trial where it was to be one and nothing came of that. */
async function handBack(deps: Deps, name: string, isTrialUnused: boolean): Promise<void> {
  await giveBack(deps, name);
  if (!isTrialUnused) return;
  await deps.states.giveTrialBack(name, deps.now());
  await learn(deps, name);
}

/** Tells the fleet what an attempt says of its transport. */
async function tell(deps: Deps, name: string, outcome: Outcome | SettledOutcome, isTrial: boolean): Promise<void> {
  // A transport that is always there, as the sandbox is, has no state.
  if (deps.transports.plan.transports[name] === undefined) return;
  const { breaker } = deps.known.get(name) ?? freshState;
  const verdict = verdictOf(outcome);
  const event = () => ({ id: deps.newId('ev'), at: deps.now() });
  switch (verdict.kind) {
    case 'fault':
      await deps.states.fault(name, verdict, event());
      break;
    case 'slow_down':
      await deps.states.brake(name, deps.now());
      break;
    case 'success':
      if (!isTrial && (breaker.kind === 'open' || breaker.faults === 0)) return;
      await deps.states.success(name, isTrial ? 'trial' : 'message', event());
      break;
    case 'nothing':
      return;
  }
  // What this process does next goes by it at once; the others read it within a second.
  await learn(deps, name);
  deps.wake();
}

function ratesOf(deps: Deps, name: string): readonly Rate[] {
  const settings = deps.transports.plan.transports[name];
  return settings === undefined ? [] : pacedRates(settings, deps.known.get(name) ?? freshState, deps.now()).rates;
}

async function isAdmitted(deps: Deps, parcel: Outgoing, name: string): Promise<boolean> {
  const rates = ratesOf(deps, name);
  if (rates.length === 0) return true;
  const { isKept = false } = parcel;
  const [isAdmitted = false] = await deps.budgets.admit(
    name,
    rates,
    [{ ...dueEmail(deps, parcel), isKept }],
    deps.now(),
  );
  return isAdmitted;
}

async function giveBack(deps: Deps, name: string): Promise<void> {
  const rates = ratesOf(deps, name);
  if (rates.length > 0) await deps.budgets.giveBack(name, rates, 1, deps.now());
}

/** It was parked as it was not admitted, unless it is kept. */
async function waitForBudget(deps: Deps, parcel: Outgoing, name: string): Promise<Dispatched> {
  const { id, lane } = parcel.email.facts;
  if (!isOver(deps, parcel)) return parked(deps);
  await deps.budgets.forget(name, id, lane);
  return faultOf(name, `transport ${name} had no budget for it`);
}

/** At the end of its time it is not parked any more, but settled, with the reason for which it waited. */
async function park(deps: Deps, parcel: Outgoing, name: string, why: string): Promise<Dispatched> {
  if (isOver(deps, parcel)) return faultOf(name, why);
  if (!parcel.isKept) await deps.budgets.park(name, [dueEmail(deps, parcel)], deps.now(), ratesOf(deps, name));
  return parked(deps);
}

/** Whether its time is over, and has been for so long. */
function isOver(deps: Deps, parcel: Outgoing, forMs = 0): boolean {
  return dueEmail(deps, parcel).endsAt + forMs <= deps.now();
}

function faultOf(transport: string, detail: string): SettledOutcome {
  return { kind: 'transport_fault', cause: 'connect', transport, detail };
}

function parked(deps: Deps): Parked {
  deps.wake();
  return { kind: 'parked' };
}

function dueEmail(deps: Deps, { email: { facts, state } }: Outgoing) {
  const { id, lane } = facts;
  return { id, lane, dueAt: nextDue(state) ?? deps.now(), endsAt: endOf(state, deps.policies[lane]) };
}
