/** abandon-redis: at a stop, what waits for a Redis that is away is given up, once nothing is in hand that nobody else can know. */

/** What the process knows and Redis does not: everything else is found there by whoever comes next. */
export type Unsaved = {
  /** Emails that were handed over, and whose answer was not yet written down. */
  readonly emails: Set<string>;
  /** Webhook posts that began, and whose answer was not yet written down. */
  posts: number;
};

/** A stop under way. */
export type Stop = {
  /** When Redis was asked what it did not answer, and has answered nothing since; null while it answers. */
  silentSince: number | null;
  /** Until when it may come back where something is in hand. */
  readonly endsAt: number;
  isGivenUp: boolean;
};

type Deps = {
  /** Whether Redis answers now. */
  ping(): Promise<boolean>;
  readonly hands: Readonly<Unsaved>;
  /** Ends every wait for Redis. */
  cut(): void;
  /** A clock that never goes back. */
  now(): number;
};

/** A shorter absence, as of a failover, is waited for: what is given back need not wait for a lock to lapse. */
const graceMs = 2_000;

/** One look. */
export async function abandonRedis({ ping, hands, cut, now }: Deps, stop: Stop): Promise<void> {
  const askedAt = now();
  if (stop.isGivenUp) return;
  const answers = await ping();
  // Counted from a question, not from the last answer: between the two this process may have been too busy to ask.
  stop.silentSince = answers ? null : (stop.silentSince ?? askedAt);
  const isAway = stop.silentSince !== null && now() - stop.silentSince >= graceMs;
  const isFree = hands.emails.size === 0 && hands.posts === 0;
  if (!isAway || !(isFree || now() >= stop.endsAt)) return;
  stop.isGivenUp = true;
  cut();
}
