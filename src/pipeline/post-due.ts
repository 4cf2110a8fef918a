/** post-due: what is due goes to its endpoint, each served by a round of its own, so that none waits for another. */
import type { Webhook } from '../domain/webhook.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';
import type { LeasedPost } from './post.ts';

/** What a process has in hand: the rounds under way, by endpoint. */
export type Rounds = Map<string, Round>;
type Round = {
  ended: Promise<void>;
  /** Something is due, whatever is still being posted. */
  wake(): void;
  /** Its last take left something that is due, or found no room. */
  wantsMore: boolean;
};

type Deps = {
  posts: Pick<Posts, 'due' | 'take' | 'drop'>;
  webhooks: Pick<Webhooks, 'get'>;
  post(webhook: Webhook, taken: LeasedPost): Promise<void>;
  rounds: Rounds;
  inHand: { posts: number };
  /** Places that takes under way have asked for: several may be, before any of them knows what it gets. */
  asked: { posts: number };
  /** Posts in hand of this process; beyond them each endpoint has one, so that those that hang take nobody's place. */
  concurrency: number;
  /** Of what is taken: longer than a post can last. */
  leaseMs: number;
  /** The longest that anything of an endpoint waits: what lies further ahead is from before the clock of Redis was put back, and is due. */
  longestWaitMs: number;
  nudge: { nudge(): void; wait(leastMs: number, mostMs: number, stop: AbortSignal): Promise<void> };
  onTrouble(part: string, error: unknown): void;
  now(): number;
};

/** What others left is found within this time. */
const lookEveryMs = 1_000;
/** Endpoints served at a time by one process. */
const maxRounds = 1_000;
/** Posts of one endpoint in hand of one process at a time; the store bounds those of the fleet. */
const maxPerEndpoint = 50;

/** Begins a round for each endpoint that something is due for and waits until there may be more; when it is told to stop, for the rounds. */
export async function postDue(deps: Deps, stop: AbortSignal): Promise<void> {
  const { rounds } = deps;
  const { ids, nextAt } = await deps.posts.due(deps.now(), maxRounds, deps.longestWaitMs);
  for (const id of ids) {
    const round = rounds.get(id);
    if (round !== undefined) round.wake();
    else if (rounds.size < maxRounds) rounds.set(id, begin(deps, id, stop));
  }
  const waitMs = nextAt === null ? lookEveryMs : Math.min(lookEveryMs, Math.max(1, Math.ceil(nextAt - deps.now())));
  await deps.nudge.wait(0, waitMs, stop);
  if (stop.aborted) await Promise.all([...rounds.values()].map(({ ended }) => ended));
}

function begin(deps: Deps, id: string, stop: AbortSignal): Round {
  const round: Round = { ended: Promise.resolve(), wake() {}, wantsMore: true };
  round.ended = serve(deps, id, round, stop)
    .catch((error: unknown) => deps.onTrouble('post due', error))
    .then(() => {
      deps.rounds.delete(id);
      deps.nudge.nudge();
    });
  return round;
}

/** The posts of a round that are in hand. */
type Serving = { readonly round: Round; readonly flying: Set<Promise<void>> };

async function serve(deps: Deps, id: string, round: Round, stop: AbortSignal): Promise<void> {
  const flying = new Set<Promise<void>>();
  try {
    await takeAndPost(deps, id, { round, flying }, stop);
  } finally {
    await Promise.all(flying);
  }
}

/** Takes and posts until nothing is due any more. The endpoint is read anew before each take: a change holds from the next one on. */
async function takeAndPost(deps: Deps, id: string, { round, flying }: Serving, stop: AbortSignal): Promise<void> {
  const woken = () =>
    new Promise<void>((resolve) => {
      round.wake = resolve;
    });
  while (!stop.aborted) {
    const webhook = await deps.webhooks.get(id);
    const isIdle = flying.size === 0;
    const isTold = webhook !== null && webhook.status === 'enabled';
    // It may be enabled again while it owes answers: its round goes on until it owes none.
    if (!isTold) await deps.posts.drop(id);
    const count = isTold ? await launch(deps, webhook, { round, flying }) : 0;
    if (count === 0 && isIdle) break;
    // Several that end together make room for one take.
    const isWaiting = !count || flying.size > maxPerEndpoint / 2;
    if (isWaiting && flying.size > 0) await Promise.race([...flying, woken()]);
  }
}

/** @returns how many posts were begun; null when there was no room for one */
async function launch(deps: Deps, webhook: Webhook, { round, flying }: Serving): Promise<number | null> {
  const limit = roomFor(deps, round, flying.size);
  round.wantsMore = true;
  if (limit <= 0) return null;
  const { leaseMs, longestWaitMs } = deps;
  deps.asked.posts += limit;
  const { parcels, dueSince, ...taken } = await deps.posts
    .take(webhook, { limit, leaseMs, longestWaitMs, now: deps.now() })
    .finally(() => {
      deps.asked.posts -= limit;
    });
  round.wantsMore = parcels.length === limit;
  for (const [n, parcel] of parcels.entries()) {
    deps.inHand.posts += 1;
    const flight = deps
      .post(webhook, { parcel, dueSince: dueSince[n] ?? deps.now(), ...taken })
      // It is left to its lease: it comes again when that ends.
      .catch((error: unknown) => deps.onTrouble('post', error))
      .finally(() => {
        deps.inHand.posts -= 1;
        flying.delete(flight);
      });
    flying.add(flight);
  }
  return parcels.length;
}

/**
 * How many more an endpoint may have in hand: while others want some, no more than are free then. So one that answers slowly takes half of the
 * places, two a third each, and there always are some for whoever comes.
 */
function roomFor({ concurrency, inHand, asked, rounds }: Deps, round: Round, flying: number): number {
  const free = concurrency - inHand.posts - asked.posts;
  const isShared = [...rounds.values()].some((other) => other !== round && other.wantsMore);
  const shared = isShared ? Math.ceil((free - flying) / 2) : free;
  return Math.min(maxPerEndpoint - flying, Math.max(shared, flying === 0 ? 1 : 0));
}
