/** The result of a POST to an endpoint, and what follows from it for the events and for the endpoint. */
import type { Delivery } from './delivery.ts';
import { nextTry } from './schedule.ts';
import type { DisabledReason, Webhook } from './webhook.ts';

export type PostResult = {
  /** 0 means no answer at all. */
  readonly status: number;
  /** What went wrong, in words; null if nothing did. */
  readonly detail: string | null;
  readonly ms: number;
  /** The beginning of the answer; null when none came. */
  readonly body: string | null;
  /** Whether `body` is all of it. */
  readonly isWhole: boolean;
  /** The header as received. */
  readonly retryAfter: string | null;
};

export type PostDecision =
  | { readonly kind: 'delivered' }
  /** Try again at a time. Until `holdUntil` the endpoint gets nothing at all. Milliseconds since the epoch. */
  | { readonly kind: 'again'; readonly at: number; readonly holdUntil: number | null }
  /** Too large: the events are sent in two POSTs of half the size. */
  | { readonly kind: 'split' }
  /** The schedule has ended: it can only be replayed. */
  | { readonly kind: 'failed' }
  | { readonly kind: 'disable'; readonly reason: Exclude<DisabledReason, 'by_request'> };

/** The report of one try. Without a result there was nothing to post. */
export type PostReport = {
  readonly webhook: Webhook;
  readonly delivery: Delivery;
  readonly result: PostResult | null;
  readonly decision: PostDecision['kind'];
};

export type PostPolicy = {
  /** Waits between tries. */
  readonly scheduleMs: readonly number[];
  /** An endpoint that failed for this long without one success is disabled. */
  readonly disableAfterMs: number;
};

/** The health of an endpoint when the POST was made. */
export type Health = {
  /** Failed POSTs in a row. */
  readonly failures: number;
  /** When the first of them failed; null when there is none. */
  readonly failingSince: number | null;
};

/** The try: its number, how many events it carried, and when. */
type Tried = { readonly attempt: number; readonly events: number; readonly now: number; readonly rand: number };

/** What follows from a try. */
export function decidePost(
  result: Pick<PostResult, 'status' | 'retryAfter'>,
  { attempt, events, now, rand }: Tried,
  { failingSince }: Health,
  { scheduleMs, disableAfterMs }: PostPolicy,
): PostDecision {
  if (isSuccess(result.status)) return { kind: 'delivered' };
  if (result.status === tooLarge && events > 1) return { kind: 'split' };
  if (result.status === 410) return { kind: 'disable', reason: 'gone' };
  if (failingSince !== null && now - failingSince >= disableAfterMs) return { kind: 'disable', reason: 'failing' };
  if (attempt > scheduleMs.length) return { kind: 'failed' };
  const waitMs = asksToWait.has(result.status) ? retryAfterMs(result.retryAfter, now) : null;
  const at = nextTry(scheduleMs, attempt, now, rand, waitMs ?? 0);
  return { kind: 'again', at, holdUntil: waitMs === null ? null : now + waitMs };
}

/** Content Too Large (RFC 9110 section 15.5.14). */
export const tooLarge = 413;

/** Only 2xx is success (a redirect is not followed). */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** With `Retry-After`, Too Many Requests (RFC 6585) and Service Unavailable (RFC 9110 section 15.6.4) say when to come back. */
const asksToWait = new Set([429, 503]);
/** A longer wait is not believed: an hour is as long as an endpoint that means it has to say so again. */
export const maxRetryAfterMs = 3_600_000;

/** The milliseconds of a `Retry-After` (RFC 9110 section 10.2.3): seconds, or an HTTP date. Null when it is neither. */
export function retryAfterMs(header: string | null, now: number): number | null {
  const text = header?.trim() ?? '';
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : httpDate.test(text) ? Date.parse(text) - now : Number.NaN;
  return Number.isNaN(ms) || ms <= 0 ? null : Math.min(ms, maxRetryAfterMs);
}

/** `Date.parse` alone accepts far more than HTTP dates. */
const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** After this many failures in a row an endpoint gets one POST at a time, to see whether it is back. Waiting parcels use up no tries. */
export const probingAfter = 5;

const shortestPauseMs = 1_000;
const longestPauseMs = 60_000;

/** How long such an endpoint is left alone after a failed POST: the longer it has been failing, the longer. */
export function pauseMs(failingForMs: number): number {
  return Math.min(longestPauseMs, Math.max(shortestPauseMs, Math.round(failingForMs / 4)));
}
