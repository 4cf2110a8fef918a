/** What a POST to an endpoint came to, and what follows from it. */
import { type Answer, done } from './outcome.ts';
import { nextTry } from './schedule.ts';

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

/** 2xx only is success (a redirect is not followed); anything else is tried again until the schedule ends. */
export function decidePost(
  result: Pick<PostResult, 'status'>,
  attempt: number,
  scheduleMs: readonly number[],
  now: number,
  rand: number,
): Answer {
  if (result.status >= 200 && result.status < 300) return done;
  if (attempt > scheduleMs.length) return done;
  return { again: nextTry(scheduleMs, attempt, now, rand) };
}

/** A post job's id says all it needs: the endpoint and the event's place in the outbox. */
export function postId({ webhookId, place }: PostTarget): string {
  return `${webhookId}.${place}`;
}

export function readPostId(id: string): PostTarget {
  const dot = id.indexOf('.');
  return { webhookId: id.slice(0, dot), place: id.slice(dot + 1) };
}

type PostTarget = { readonly webhookId: string; readonly place: string };
