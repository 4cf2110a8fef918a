/** abandon-redis: at a stop while Redis is away, ends all waits for Redis, once nothing is in hand that only this process knows. */

/** What only this process knows. Everything else is in Redis, where another worker finds it. */
export type Unsaved = {
  /** Ids of emails that were handed over and whose answer is not stored yet. */
  readonly emails: Set<string>;
  /** Number of webhook posts that began and whose answer is not stored yet. */
  posts: number;
};

/** A stop under way. */
export type Stop = {
  /** When Redis was asked the first question that it left without an answer; null while it answers. */
  silentSince: number | null;
  /** Until when the process waits for Redis to come back while something is in hand. */
  readonly endsAt: number;
  isGivenUp: boolean;
};

type Deps = {
  /** Whether Redis answers now. */
  ping(): Promise<boolean>;
  readonly unsaved: Readonly<Unsaved>;
  /** Ends every wait for Redis. */
  cut(): void;
  /** A clock that never goes back. */
  now(): number;
};

/** A shorter absence, such as a failover, is waited for: jobs can then be given back at once, instead of when their lock lapses. */
const graceMs = 2_000;

/** Asks Redis once, and ends all waits when it has been silent for long enough. */
export async function abandonRedis({ ping, unsaved, cut, now }: Deps, stop: Stop): Promise<void> {
  const askedAt = now();
  if (stop.isGivenUp) return;
  const answers = await ping();
  // Counted from a question, not from the last answer: between the two this process may have been too busy to ask.
  stop.silentSince = answers ? null : (stop.silentSince ?? askedAt);
  const isAway = stop.silentSince !== null && now() - stop.silentSince >= graceMs;
  const isFree = unsaved.emails.size === 0 && unsaved.posts === 0;
  if (!isAway || !(isFree || now() >= stop.endsAt)) return;
  stop.isGivenUp = true;
  cut();
}
