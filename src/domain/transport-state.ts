/** The state of a transport, shared by all workers: whether it is paused, its breaker and its brake, and how they change. */
import { clockSkewMs } from './clock.ts';
import type { TransportEvent } from './event.ts';
import type { FaultCause } from './fault-cause.ts';
import type { Rate } from './rate.ts';
import type { TransportSettings } from './transport-plan.ts';

export type Fault = {
  readonly cause: FaultCause;
  readonly reason: string;
  /** The trouble came while a message was sent, on a connection that was open and logged in. */
  readonly byMessage?: boolean;
};

/**
 * Whether one message must go through before an open breaker closes. `unneeded`: a successful login is enough. `needed`: the trouble came while
 * a message was sent, so a login alone proves nothing; after the next successful login the trial opens. `open`: the next message is the trial.
 */
type Trial = 'unneeded' | 'needed' | 'open';

type Server = Pick<TransportSettings, 'host' | 'port'>;

/** The share of its usual pace that a transport had at a time, in (0, 1], and the server that asked for it. It doubles each minute after that. */
export type Brake = {
  readonly factor: number;
  readonly at: number;
  readonly of: Server;
  /** Usual time of a message on one connection; absent when no worker knew it. */
  readonly messageMs?: number;
};

/** Times are milliseconds since the epoch. `faults` counts those in a row, `tries` the probes since the breaker opened. */
export type Breaker =
  | { readonly kind: 'closed'; readonly faults: number }
  | {
      readonly kind: 'open';
      readonly reason: string;
      readonly cause: FaultCause;
      readonly since: number;
      readonly tries: number;
      readonly probeAt: number;
      readonly trial: Trial;
    };

/** Connections that the fleet had when its server refused one more, and the settings that it had then: it says nothing of another server. */
export type Granted = {
  readonly connections: number;
  readonly at: number;
  readonly of: Pick<TransportSettings, 'host' | 'port' | 'connections'>;
};

export type TransportState = {
  readonly paused: { readonly at: number; readonly by: string } | null;
  readonly breaker: Breaker;
  readonly brake: Brake | null;
  readonly granted: Granted | null;
};

export const closedBreaker: Breaker = { kind: 'closed', faults: 0 };

const leastFactor = 1 / 64;
const doublingMs = 60_000;
const oneMoreMs = 5_000;
const sameRefusalMs = 2_000;
/** After the brake takes hold, replies to messages already under way say nothing new. */
const brakeRestMs = 5_000;

/** The share of its usual pace that a transport has now; 1 without a brake, or with one of another server. */
export function brakeFactor(brake: Brake | null, server: Server, now: number): number {
  if (brake === null || brake.at > now + clockSkewMs || !isAt(brake.of, server)) return 1;
  return Math.min(1, brake.factor * 2 ** (Math.max(0, now - brake.at) / doublingMs));
}

/** Connections that may be tried: one more each five seconds since the refusal, and twice as many after each minute. */
function mostConnections(granted: Granted | null, settings: Granted['of'], now: number): number {
  if (granted === null || granted.at > now + clockSkewMs || !isOf(granted, settings)) return Number.POSITIVE_INFINITY;
  const { connections, at } = granted;
  const ageMs = Math.max(0, now - at);
  return Math.floor(
    Math.max(connections * 2 ** Math.floor(ageMs / doublingMs), connections + Math.floor(ageMs / oneMoreMs)),
  );
}

function isOf({ of }: Granted, settings: Granted['of']): boolean {
  return isAt(of, settings) && of.connections === settings.connections;
}

/** @param of unknown of a brake that an earlier version stored */
function isAt(of: Server | undefined, { host, port }: Server): boolean {
  return of?.host === host && of.port === port;
}

/**
 * Workers are refused within a short time of each other, and count the connections of the fleet from reports that are up to a second old. The
 * first refusal makes them close some, so of several refusals the one that counted the most connections holds.
 */
export function afterRefusal(granted: Granted | null, refused: Granted): Granted {
  const isSame = granted !== null && isOf(granted, refused.of) && Math.abs(refused.at - granted.at) < sameRefusalMs;
  return isSame && granted.connections >= refused.connections ? granted : refused;
}

/**
 * After a reply that asks for less: half of what it was, not more often than every five seconds.
 * @param known usual time of a message on one connection, as the worker knows it that had the reply
 * @returns the same brake when nothing changes
 */
export function afterSlowDown(brake: Brake | null, { host, port }: Server, now: number, known?: number): Brake {
  const of = { host, port };
  if (brake !== null && !isAt(brake.of, of)) return afterSlowDown(null, of, now, known);
  const was = brakeFactor(brake, of, now);
  // Once a brake is over, what was known then is old.
  const messageMs = known ?? (was < 1 ? brake?.messageMs : undefined);
  if (brake !== null && Math.abs(now - brake.at) < brakeRestMs)
    return messageMs === undefined || messageMs === brake.messageMs ? brake : { ...brake, messageMs };
  const factor = Math.max(leastFactor, was / 2);
  return messageMs === undefined ? { factor, at: now, of } : { factor, at: now, of, messageMs };
}

const faultsToOpen = 3;
/**
 * Waits before the first probes; the last one repeats. A server may lock out clients that fail to log in too often, and a used-up quota lasts
 * for hours.
 */
const probeWaitsMs = {
  connection: [1_000, 2_000, 4_000, 5_000],
  login: [5_000, 10_000, 20_000, 30_000],
  limit: [30_000, 60_000, 120_000, 300_000],
} as const;

function probeWaitMs(cause: FaultCause, tries: number): number {
  const waits = probeWaitsMs[troubleOf(cause)];
  return waits[Math.min(tries, waits.length - 1)] ?? waits[0];
}

function longestProbeWaitMs(cause: FaultCause): number {
  return Math.max(...probeWaitsMs[troubleOf(cause)]);
}

function troubleOf(cause: FaultCause): keyof typeof probeWaitsMs {
  return cause === 'login' || cause === 'limit' ? cause : 'connection';
}

/** @returns the same breaker when the fault changes nothing */
export function afterFault(breaker: Breaker, fault: Fault, now: number): Breaker {
  const { cause, reason, byMessage = false } = fault;
  const first = { tries: 0, probeAt: now + probeWaitMs(cause, 0) };
  if (breaker.kind === 'open') {
    const trial = byMessage && breaker.trial === 'unneeded' ? 'needed' : breaker.trial;
    if (breaker.cause === cause) return breaker.trial === trial ? breaker : { ...breaker, trial };
    if (troubleOf(breaker.cause) === troubleOf(cause)) return { ...breaker, cause, reason, trial };
    return { ...breaker, cause, reason, ...first, trial: trial === 'open' ? 'needed' : trial };
  }
  const faults = breaker.faults + 1;
  if (cause !== 'login' && faults < faultsToOpen) return { kind: 'closed', faults };
  return { kind: 'open', reason, cause, since: now, ...first, trial: byMessage ? 'needed' : 'unneeded' };
}

/** What succeeded: an ordinary message, a login as a probe, or the trial message. */
export type Success = 'message' | 'probe' | 'trial';

/** Causes that are over once a message goes through, in any session. Not `login`: the login of that session was earlier. */
const endedByMessage: readonly FaultCause[] = ['connect', 'protocol'];

/**
 * A message that went through ends the row of faults, and closes a breaker that opened because no connection came about. A probe closes it,
 * or, where that takes a message, opens the trial.
 * @returns the same breaker when nothing changes
 */
export function afterSuccess(breaker: Breaker, of: Success, now: number): Breaker {
  if (breaker.kind === 'closed') return breaker.faults === 0 ? breaker : closedBreaker;
  if (of === 'message' && (breaker.trial !== 'unneeded' || !endedByMessage.includes(breaker.cause))) return breaker;
  if (of === 'probe' && breaker.trial === 'open') return breaker;
  return of === 'probe' && breaker.trial === 'needed' ? withTrialOpen(breaker, now) : closedBreaker;
}

/** The time of the probe may be long over, where no worker was there: from now on a message has time to be the trial. */
function withTrialOpen(breaker: Extract<Breaker, { kind: 'open' }>, now: number): Breaker {
  return { ...breaker, trial: 'open', probeAt: Math.max(breaker.probeAt, now) };
}

/** Whether the next message may be the trial of a transport in trouble. */
export function isTrialOpen(breaker: Breaker): boolean {
  return breaker.kind === 'open' && breaker.trial === 'open';
}

/** How long a message that was released as the trial may take to begin it, in milliseconds: jobs may wait for a worker. */
const trialStartMs = 30_000;

/** Whether a trial is still open although messages were released for it, long after it opened and another probe would have been due. */
export function isTrialMissed(breaker: Breaker, now: number): boolean {
  return breaker.kind === 'open' && isTrialOpen(breaker) && breaker.probeAt + trialStartMs <= now;
}

/**
 * The breaker after the trial message began. If its result is never reported, the transport is probed again. Null when another message was
 * first.
 */
export function afterTrialBegan(breaker: Breaker, now: number): Breaker | null {
  if (breaker.kind === 'closed' || !isTrialOpen(breaker)) return null;
  return { ...breaker, trial: 'needed', probeAt: now + probeWaitMs(breaker.cause, breaker.tries) };
}

/**
 * The breaker after the trial message did not take place: the next message may be the trial. @returns the same breaker when there was no trial
 */
export function afterTrialUnused(breaker: Breaker, now: number): Breaker {
  return breaker.kind === 'open' && breaker.trial === 'needed' ? withTrialOpen(breaker, now) : breaker;
}

/** Whether a probe is due. */
export function isProbeDue(breaker: Breaker, now: number): boolean {
  if (breaker.kind === 'closed' || isTrialOpen(breaker)) return false;
  return breaker.probeAt <= now || breaker.probeAt > now + longestProbeWaitMs(breaker.cause) + clockSkewMs;
}

/** The breaker after a worker began a probe. If that worker dies, another one probes at the next time. Null when no probe is due. */
export function afterProbeBegan(breaker: Breaker, now: number): Breaker | null {
  if (breaker.kind === 'closed' || !isProbeDue(breaker, now)) return null;
  const tries = breaker.tries + 1;
  return { ...breaker, tries, probeAt: now + probeWaitMs(breaker.cause, tries) };
}

/**
 * The breaker after an operator verified the transport with success: a probe is due now. @returns the same breaker when it is closed or already
 * due
 */
export function hastened(breaker: Breaker, now: number): Breaker {
  return breaker.kind === 'closed' || breaker.probeAt <= now ? breaker : { ...breaker, probeAt: now };
}

/** The event for a breaker that opened or closed; null when it did neither. */
export function breakerEvent(
  transport: string,
  [before, after]: readonly [Breaker, Breaker],
  { id, at }: { id: string; at: number },
): TransportEvent | null {
  if (before.kind === after.kind) return null;
  if (after.kind === 'closed') return { id, type: 'transport.recovered', at, transport, reason: null, cause: null };
  return { id, type: 'transport.degraded', at, transport, reason: after.reason, cause: after.cause };
}

const secondMs = 1_000;
/** The brake scales windows up to this length. Of a longer one so much may be used already that a reduced count would stop all mail. */
const longestPaceMs = 60_000;

/**
 * What a transport may do now, its brake and what its server grants considered: connections of the fleet, and at most one rate for each
 * window. With less than one connection's worth left, the rest is a pace: a count per second that may be a fraction.
 */
export function pacedRates(
  settings: Granted['of'] & Pick<TransportSettings, 'rates'>,
  state: Pick<TransportState, 'brake' | 'granted'>,
  now: number,
): { readonly rates: readonly Rate[]; readonly connections: number } {
  const factor = brakeFactor(state.brake, settings, now);
  const braked = Math.max(1, Math.floor(settings.connections * factor));
  const connections = Math.min(braked, mostConnections(state.granted, settings, now));
  if (factor === 1) return { rates: settings.rates, connections };
  const rates = settings.rates.map((rate) => scaled(rate, factor));
  if (settings.connections * factor >= 1) return { rates, connections };
  const pace = { count: paceOf(settings, factor, state.brake?.messageMs), windowMs: secondMs };
  return { rates: [pace, ...rates.filter(({ windowMs }) => windowMs !== secondMs)], connections };
}

function scaled({ count, windowMs }: Rate, factor: number): Rate {
  if (windowMs > longestPaceMs) return { count, windowMs };
  return { count: windowMs === secondMs ? count * factor : Math.max(1, Math.floor(count * factor)), windowMs };
}

/**
 * Messages per second where less than one connection is left: that share of what one carries, so that there is no step below one, and of each
 * rate. A message is taken to last a second where neither is known.
 */
function paceOf(
  { connections, rates }: Pick<TransportSettings, 'connections' | 'rates'>,
  factor: number,
  messageMs: number | undefined,
): number {
  const short = rates.filter(({ windowMs }) => windowMs <= longestPaceMs);
  const ofRates = short.map(({ count, windowMs }) => count * factor * (secondMs / windowMs));
  if (messageMs === undefined && ofRates.length > 0) return Math.min(...ofRates);
  const ofConnection = (connections * factor * secondMs) / Math.max(1, messageMs ?? secondMs);
  return Math.min(ofConnection, ...ofRates);
}
