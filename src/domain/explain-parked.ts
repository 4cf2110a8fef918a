/** Explains why an email is parked for its transport, and when it goes on. Pure. */

import { isoOf } from './iso-time.ts';
import { bulkEvery, type Lane } from './lane.ts';
import { type Rate, windowName } from './rate.ts';
import {
  countBefore,
  goesAt,
  isHangingPool,
  isServing,
  type RateLeft,
  type TransportReport,
} from './transport-report.ts';

export const parkedReasons = [
  'waiting_for_budget',
  'transport_paused',
  'transport_degraded',
  'transport_hanging',
  'transport_busy',
] as const;

export type ParkedReason = (typeof parkedReasons)[number];

/** What one recipient waits for, after "waits for transport x". */
export const parkedWaits: Readonly<Record<ParkedReason, string>> = {
  waiting_for_budget: 'to have some of its rate left',
  transport_paused: 'to be resumed',
  transport_degraded: 'to be well again',
  transport_hanging: 'to answer',
  transport_busy: 'to have a connection free',
};

/**
 * The transport an email waits for, the number of emails of its lane that are parked before it (`ahead`; null at its place in a campaign), and the
 * other transports of its route.
 */
export type ParkedAt = {
  readonly ahead: number | null;
  readonly report: TransportReport;
  readonly others: readonly TransportReport[];
};

type ParkedWhy = {
  readonly reason: ParkedReason;
  readonly summary: string;
  /** Milliseconds since the epoch; null when it is unknown, or as soon as possible. */
  readonly movesAt: number | null;
};

/** Whether a worker can release the email. When none looks after the transport, the email waits for a worker. */
export function isTended({ report: { state, pool } }: ParkedAt): boolean {
  return state.paused !== null || pool.workers > 0;
}

export function explainParked(where: ParkedAt, lane: Lane, now: number): ParkedWhy {
  const { name, state, rates, pool } = where.report;
  const { paused, breaker } = state;
  if (paused !== null) {
    const summary = `Transport ${name} was paused at ${isoOf(paused.at)} by the key ${paused.by}. This does not count as an attempt of the email. POST /v1/transports/${name}/resume resumes it.${othersOf(where)}`;
    return { reason: 'transport_paused', summary, movesAt: null };
  }
  if (breaker.kind === 'open') {
    const { since, reason, probeAt } = breaker;
    const next = probeAt > now ? `at ${isoOf(probeAt)}` : 'now';
    const summary = `Transport ${name} has been in trouble since ${isoOf(since)} (${reason}). This does not count as an attempt of the email. The transport is tried next ${next}; once that succeeds, the email is sent by itself.${othersOf(where)}`;
    return { reason: 'transport_degraded', summary, movesAt: probeAt > now ? probeAt : null };
  }
  if (isHangingPool(pool)) {
    const given = pool.busy === 1 ? 'the message' : `any of the ${pool.busy} messages`;
    const summary = `Transport ${name} has not answered ${given} it was given for much longer than usual. Those are not sent elsewhere, because it may have them. The email is sent as soon as one is answered or its connection ends, or by another transport of its route. The wait does not count as an attempt.${othersOf(where)}`;
    return { reason: 'transport_hanging', summary, movesAt: null };
  }
  if (isHeldByRates(where, now)) return explainBudget(where, lane, now);
  const summary = `Transport ${name} had no connection free for it: ${connectionsOf(pool)}${rates.length > 0 ? ', although its rates would allow more' : ''}. The email is sent in its turn when connections become free. The wait does not count as an attempt. ${sharesOf[lane]}${othersOf(where)}`;
  return { reason: 'transport_busy', summary, movesAt: null };
}

function connectionsOf({ connections, granted, busy }: TransportReport['pool']): string {
  if (granted === null) return `now ${busy} of ${connections} have a message in hand`;
  return `its server grants ${granted} of the ${connections} configured at the moment (more are tried as time goes by), and ${busy} now have a message in hand`;
}

/** How the email's lane shares the connections that become free. */
const sharesOf: Readonly<Record<Lane, string>> = {
  transactional: `It goes before bulk mail, which gets one place in ${bulkEvery} while both wait.`,
  bulk: `While transactional mail waits too, bulk mail gets one place in ${bulkEvery}; campaigns and other bulk mail take turns.`,
};

/** When a rate has been unused for this long, it is not the rate that mail waits for. */
const unusedMs = 1_000;

function isHeldByRates({ report: { rates, pool } }: ParkedAt, now: number): boolean {
  const holds = ({ remaining, nextAt }: RateLeft) => (remaining === null ? nextAt > now - unusedMs : remaining < 1);
  if (rates.some(holds)) return true;
  // Emails are released in small steps, so one may be parked although connections are free. Those that a server refuses are not free.
  const isFree = pool.granted === null && pool.waiting === 0 && pool.busy < pool.connections;
  return rates.length > 0 && isFree;
}

function explainBudget(where: ParkedAt, lane: Lane, now: number): ParkedWhy {
  const { report, ahead } = where;
  const { name, rates, factor, parked } = report;
  const before = ahead === null ? 0 : countBefore(lane, ahead, parked);
  const at = goesAt(rates, before, now);
  const when = at > now ? `at about ${isoOf(at)}` : 'in a moment';
  const slowed = factor < 1 ? `, slowed to ${Math.ceil(factor * 100)} % because its server asked for less` : '';
  const turn =
    ahead === null
      ? `It may send the next one ${when}, and this recipient in its turn`
      : `${emails(before)} before this one, which is sent ${when}`;
  const summary = `Transport ${name} may send ${rates.map(wordsOf).join(' and ')}${slowed}. ${turn}. The wait does not count as an attempt.${othersOf(where)}`;
  return { reason: 'waiting_for_budget', summary, movesAt: at > now ? at : null };
}

function wordsOf(rate: Rate): string {
  const { count, windowMs } = rate;
  if (count < 1) return `one email every ${secondsOf(windowMs / count)}`;
  return `${Number(count.toFixed(1))} per ${windowName(rate)}`;
}

function secondsOf(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds === 1 ? 'second' : `${seconds} seconds`;
}

function emails(count: number): string {
  if (count === 0) return 'No email is';
  return count === 1 ? 'One email is' : `About ${count} emails are`;
}

/** Names the other transports of the route that cannot take over, and why. */
function othersOf({ others }: Pick<ParkedAt, 'others'>): string {
  const out = others.filter((other) => !isServing(other));
  return out.map((other) => ` Transport ${other.name} of its route ${troubleOf(other)} too.`).join('');
}

function troubleOf({ state: { paused, breaker } }: TransportReport): string {
  if (paused !== null) return 'is paused';
  return breaker.kind === 'open' ? 'is in trouble' : 'is not answering';
}
