/** The standing of a transport: whether it can take mail now, and what an attempt says about it. Pure. */
import { classify, isLoginRefusal, parseReply } from './classify.ts';
import type { Outcome, SettledOutcome } from './outcome.ts';
import type { Rate } from './rate.ts';
import type { Recipient } from './recipient.ts';
import type { TransportPlan } from './transport-plan.ts';
import { closedBreaker, type Fault, pacedRates, type TransportState } from './transport-state.ts';

/** Whether mail may go over a transport; if not, why, and whether the next transport of the route is tried instead. */
export type Standing =
  | { readonly kind: 'open' }
  /** Out of service: the next transport takes over. */
  | { readonly kind: 'paused' | 'degraded'; readonly why: string }
  /** In service, but no connection became free in the time an email waits for one: mail waits for it. */
  | { readonly kind: 'stuck'; readonly why: string };

/** A transport of which nothing was ever written. */
export const freshState: TransportState = { paused: null, breaker: closedBreaker, brake: null, granted: null };

export function isInService({ paused, breaker }: TransportState): boolean {
  return paused === null && breaker.kind === 'closed';
}

/**
 * The rates of a transport now; none for one outside the plan, such as the sandbox.
 * @param known the stored states; a transport without one is fresh
 */
export function ratesOf(
  { transports }: Pick<TransportPlan, 'transports'>,
  known: ReadonlyMap<string, TransportState>,
  name: string,
  now: number,
): readonly Rate[] {
  const settings = transports[name];
  return settings === undefined ? [] : pacedRates(settings, known.get(name) ?? freshState, now).rates;
}

/** Whether some route over `name` has another transport that is in service. */
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
 * Whether a message already waits for the first connection. On a transport with rates no other joins it: all of them would leave at once when it
 * opens, with tokens taken while a slow server greeted.
 */
export function isFirstOnItsWay({ open, waiting }: { readonly open: number; readonly waiting: number }): boolean {
  return open === 0 && waiting > 0;
}

/** What an attempt says about its transport. */
export type Verdict =
  /** `isCrowded` when its server took no more connections. */
  | ({ readonly kind: 'fault'; readonly isCrowded?: true } & Fault)
  | { readonly kind: 'slow_down' }
  | { readonly kind: 'success' }
  | { readonly kind: 'nothing' };

/**
 * Replies are about the transport when all of them are: a refused login, a blocked host. A request to slow down counts from any recipient's
 * reply.
 */
export function verdictOf(outcome: Outcome | SettledOutcome): Verdict {
  if (outcome.kind === 'transport_fault') {
    if (outcome.isShared) return { kind: 'nothing' };
    const { cause, detail: reason, byMessage = false } = outcome;
    return { kind: 'fault', cause, reason, byMessage, ...(outcome.isCrowded && { isCrowded: true }) };
  }
  if (outcome.kind !== 'answered' || outcome.replies.length === 0 || outcome.isOwn) return { kind: 'nothing' };
  const actions = outcome.replies.map(({ smtp }) => classify(smtp).action);
  if (actions.includes('slow_down')) return { kind: 'slow_down' };
  const [first] = outcome.replies;
  if (first !== undefined && actions.every((action) => action === 'stop_transport')) {
    const cause = isLoginRefusal(first.smtp) ? 'login' : 'limit';
    return { kind: 'fault', cause, reason: first.smtp.reply, byMessage: true };
  }
  return actions.includes('accept') ? { kind: 'success' } : { kind: 'nothing' };
}

/**
 * Marks a refusal as the message's own where it was refused before for want of a login: that took the transport out of service, so a message
 * that is no trial shows that others went since. Else one such message would do so again and again.
 */
export function withOwnRefusal(outcome: Outcome, recipients: readonly Recipient[], as: 'message' | 'trial'): Outcome {
  if (as === 'trial' || outcome.kind !== 'answered' || outcome.replies.length === 0) return outcome;
  const isOwn = outcome.replies.every(({ address, smtp }) => {
    const before = recipients.find((recipient) => recipient.address === address);
    return isLoginRefusal(smtp) && before !== undefined && wasRefused(before, outcome.transport);
  });
  return isOwn ? { ...outcome, isOwn: true } : outcome;
}

/** Of a server that took another recipient of the same message as well: it does not want a login for all mail. */
export function isOwnRefusal({ replies, isOwn }: Extract<Outcome, { kind: 'answered' }>): boolean {
  return isOwn === true || replies.some(({ smtp }) => classify(smtp).action === 'accept');
}

function wasRefused({ transport, smtp, reason }: Recipient, by: string): boolean {
  return transport === by && isLoginRefusal(smtp ?? parseReply(reason ?? ''));
}

/** About the mailbox (RFC 3463 section 3.3): another transport would get the same reply. */
const mailboxSubject = /^\d\.2\./;

/** Whether an outcome without a hand-over is the transport's own trouble for all recipients: then another transport may do better. */
export function isOfTransport(outcome: Outcome | SettledOutcome): boolean {
  if (outcome.kind !== 'answered') return outcome.kind === 'transport_fault';
  if (outcome.replies.length === 0) return false;
  return outcome.replies.every(({ smtp }) => {
    const { action } = classify(smtp);
    if (action === 'slow_down') return smtp.code === 421 || !mailboxSubject.test(smtp.enhanced ?? '');
    return action === 'stop_transport';
  });
}
