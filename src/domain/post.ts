/** What a POST to an endpoint came to, and what follows from it, for what was posted and for the endpoint. */
import type { Delivery } from './delivery.ts';
import { nextTry } from './schedule.ts';
import type { DisabledReason, Webhook } from './webhook.ts';

export type PostResult = {
  /** 0 stands for no answer at all. */
  readonly status: number;
  /** What went wrong, in words; null when nothing did. */
  readonly detail: string | null;
  readonly ms: number;
  /** The beginning of the answer; null when none came. */
  readonly body: string | null;
  /** Whether `body` is all of it. */
  readonly isWhole: boolean;
  /** The header as it came. */
  readonly retryAfter: string | null;
};

export type PostDecision =
  | { readonly kind: 'delivered' }
  /** Comes again at a time; until `holdUntil` the endpoint wants nothing at all. Milliseconds since the epoch. */
  | { readonly kind: 'again'; readonly at: number; readonly holdUntil: number | null }
  /** Too large: its events go out in two of half the size. */
  | { readonly kind: 'split' }
  /** The schedule is over: it can be replayed. */
  | { readonly kind: 'failed' }
  | { readonly kind: 'disable'; readonly reason: Exclude<DisabledReason, 'by_request'> };

/** What is told of a try; without a result nothing could be posted. */
export type PostReport = {
  readonly webhook: Webhook;
  readonly delivery: Delivery;
  readonly result: PostResult | null;
  readonly decision: PostDecision['kind'];
};

export type PostPolicy = {
  /** Waits between tries. */
  readonly scheduleMs: readonly number[];
  /** An endpoint that failed for so long without one success is disabled. */
  readonly disableAfterMs: number;
};

/** An endpoint as the POST found it. */
export type Health = {
  /** POSTs in a row that failed. */
  readonly failures: number;
  /** When the first of them did; null when there is none. */
  readonly failingSince: number | null;
};

/** The try that was made: the n-th, of how many events, and when. */
type Tried = { readonly attempt: number; readonly events: number; readonly now: number; readonly rand: number };

/** 2xx only is success (a redirect is not followed). */
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

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Too Many Requests (RFC 6585) and Service Unavailable (RFC 9110 section 15.6.4) say with `Retry-After` when to come back. */
const asksToWait = new Set([429, 503]);
/** A longer wait is not believed: an hour is as long as an endpoint that means it has to say so again. */
const maxRetryAfterMs = 3_600_000;

/** Milliseconds that a `Retry-After` asks for (RFC 9110 section 10.2.3): seconds, or an HTTP date. Null when it says neither. */
export function retryAfterMs(header: string | null, now: number): number | null {
  const text = header?.trim() ?? '';
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : httpDate.test(text) ? Date.parse(text) - now : Number.NaN;
  return Number.isNaN(ms) || ms <= 0 ? null : Math.min(ms, maxRetryAfterMs);
}

/** `Date.parse` alone would read far more than a date of HTTP. */
const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** After so many failures in a row an endpoint gets one POST at a time, to see whether it is back; what waits for it burns no tries. */
export const probingAfter = 5;

const shortestPauseMs = 1_000;
const longestPauseMs = 60_000;

/** How long such an endpoint is left alone after a POST that failed: longer the longer it has been failing. */
export function pauseMs(failingForMs: number): number {
  return Math.min(longestPauseMs, Math.max(shortestPauseMs, Math.round(failingForMs / 4)));
}
