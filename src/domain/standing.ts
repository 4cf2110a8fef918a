/** How a transport stands: whether it can take mail now, and what an attempt says of it. Pure. */
import { classify } from './classify.ts';
import type { Outcome, SettledOutcome } from './outcome.ts';
import type { Rate } from './rate.ts';
import type { TransportPlan } from './transport-plan.ts';
import { closedBreaker, type Fault, pacedRates, type TransportState } from './transport-state.ts';

/** Whether mail may go over a transport; if not, why, and whether the next one of its route is tried instead. */
export type Standing =
  | { readonly kind: 'open' }
  /** It is out of service: the next one takes over. */
  | { readonly kind: 'paused' | 'degraded'; readonly why: string }
  /** It is in service, and has no connection free for longer than is waited for one: mail waits for it. */
  | { readonly kind: 'stuck'; readonly why: string };

/** A transport of which nothing was ever written. */
export const freshState: TransportState = { paused: null, breaker: closedBreaker, brake: null, granted: null };

export function isInService({ paused, breaker }: TransportState): boolean {
  return paused === null && breaker.kind === 'closed';
}

/** The rates it goes by now; none for a transport that is in no plan, as the sandbox is. @param known states of transports; fresh where there is none */
export function ratesOf(
  { transports }: Pick<TransportPlan, 'transports'>,
  known: ReadonlyMap<string, TransportState>,
  name: string,
  now: number,
): readonly Rate[] {
  const settings = transports[name];
  return settings === undefined ? [] : pacedRates(settings, known.get(name) ?? freshState, now).rates;
}

/** Whether a route over `name` has another transport that is in service. */
export function hasStandIn(plan: TransportPlan, name: string, inService: ReadonlySet<string>): boolean {
  return Object.values(plan.routes).some((route) => {
    const members = route.kind === 'failover' ? route.transports : Object.keys(route.weights);
    return members.includes(name) && members.some((other) => other !== name && inService.has(other));
  });
}

type PoolStanding = { readonly isStuck: boolean; readonly isHanging: boolean };

export function standingOf(name: string, state: TransportState, pool: PoolStanding): Standing {
  const { paused, breaker } = state;
  if (paused !== null) return { kind: 'paused', why: `transport ${name} is paused` };
  if (breaker.kind === 'open') return { kind: 'degraded', why: `transport ${name} is in trouble: ${breaker.reason}` };
  if (pool.isHanging && pool.isStuck) return { kind: 'stuck', why: `transport ${name} answers nothing it is given` };
  if (pool.isStuck) return { kind: 'stuck', why: `transport ${name} has no free connection` };
  return { kind: 'open' };
}

/**
 * Whether somebody waits for the first connection already. With rates nobody else joins them: all who did would go at once when it is there,
 * their tokens taken while a slow server greeted.
 */
export function isFirstOnItsWay({ open, waiting }: { readonly open: number; readonly waiting: number }): boolean {
  return open === 0 && waiting > 0;
}

/** What an attempt says of its transport. */
export type Verdict =
  /** `isCrowded` when its server took no more connections. */
  | ({ readonly kind: 'fault'; readonly isCrowded?: true } & Fault)
  | { readonly kind: 'slow_down' }
  | { readonly kind: 'success' }
  | { readonly kind: 'nothing' };

/** Replies speak of the transport when all of them do: a refused login, a blocked host. One that asks for less is heeded whoever it is about. */
export function verdictOf(outcome: Outcome | SettledOutcome): Verdict {
  if (outcome.kind === 'transport_fault') {
    if (outcome.isShared) return { kind: 'nothing' };
    const { cause, detail: reason, byMessage = false } = outcome;
    return { kind: 'fault', cause, reason, byMessage, ...(outcome.isCrowded && { isCrowded: true }) };
  }
  if (outcome.kind !== 'answered' || outcome.replies.length === 0) return { kind: 'nothing' };
  const actions = outcome.replies.map(({ smtp }) => classify(smtp).action);
  if (actions.includes('slow_down')) return { kind: 'slow_down' };
  const [first] = outcome.replies;
  if (first !== undefined && actions.every((action) => action === 'stop_transport')) {
    const { category } = classify(first.smtp);
    const cause = category === 'rate_limited' || category === 'sender_refused' ? 'limit' : 'login';
    return { kind: 'fault', cause, reason: first.smtp.reply, byMessage: true };
  }
  return actions.includes('accept') ? { kind: 'success' } : { kind: 'nothing' };
}

/** About the mailbox (RFC 3463 section 3.3): another transport would be told the same. */
const mailboxSubject = /^\d\.2\./;

/** Whether an outcome, with nothing handed over, is the transport's own trouble for every recipient: another one may do better. */
export function isOfTransport(outcome: Outcome | SettledOutcome): boolean {
  if (outcome.kind !== 'answered') return outcome.kind === 'transport_fault';
  if (outcome.replies.length === 0) return false;
  return outcome.replies.every(({ smtp }) => {
    const { action } = classify(smtp);
    if (action === 'slow_down') return smtp.code === 421 || !mailboxSubject.test(smtp.enhanced ?? '');
    return action === 'stop_transport';
  });
}
