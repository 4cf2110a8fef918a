/** post-due: posts what is due to its endpoint. Each endpoint has a round of its own, so that none waits for another. */
import type { Webhook } from '../domain/webhook.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';
import type { LeasedPost } from './post.ts';

/** The rounds under way in this process, by id of the webhook. */
export type Rounds = Map<string, Round>;
type Round = {
  ended: Promise<void>;
  /** Tells the round that something is due, also while posts are under way. */
  wake(): void;
  /** The last take may have left due posts behind, or found no room. */
  wantsMore: boolean;
};

type Deps = {
  posts: Pick<Posts, 'due' | 'take' | 'drop'>;
  webhooks: Pick<Webhooks, 'get'>;
  post(webhook: Webhook, taken: LeasedPost): Promise<void>;
  rounds: Rounds;
  inHand: { posts: number };
  /** Places asked for by takes under way: several takes may run before any of them knows what it gets. */
  asked: { posts: number };
  /** Posts in hand of this process. Beyond this number each endpoint may still have one, so that hanging endpoints block no other. */
  concurrency: number;
  /** Lease of a taken post: longer than a post can last. */
  leaseMs: number;
  /** The longest that anything of an endpoint waits: what lies further ahead is from before the clock of Redis was put back, and is due. */
  longestWaitMs: number;
  nudge: { nudge(): void; wait(leastMs: number, mostMs: number, stop: AbortSignal): Promise<void> };
  onTrouble(part: string, error: unknown): void;
  now(): number;
};

/** Posts that other workers left are found within this time. */
const lookEveryMs = 1_000;
/** Endpoints served at a time by one process. */
const maxRounds = 1_000;
/** Posts of one endpoint in hand of one process at a time; the store bounds those of the fleet. */
const maxPerEndpoint = 50;

/** Begins a round for each endpoint with due posts, then waits until there may be more. At a stop it waits for the rounds to end. */
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

/** Takes and posts until nothing is due. The endpoint is read again before each take: a change counts from the next take on. */
async function takeAndPost(deps: Deps, id: string, { round, flying }: Serving, stop: AbortSignal): Promise<void> {
  const woken = () =>
    new Promise<void>((resolve) => {
      round.wake = resolve;
    });
  while (!stop.aborted) {
    const webhook = await deps.webhooks.get(id);
    const isIdle = flying.size === 0;
    const isTold = webhook !== null && webhook.status === 'enabled';
    // The endpoint may be enabled again while posts are in hand: the round goes on until none is.
    if (!isTold) await deps.posts.drop(id);
    const count = isTold ? await launch(deps, webhook, { round, flying }) : 0;
    if (count === 0 && isIdle) break;
    // With many posts in hand it waits for some to end, so that one take fills several places.
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
      // The post keeps its lease and comes again when that ends.
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
 * How many more posts an endpoint may have in hand. While other endpoints want places, it never has more than stay free: one slow endpoint
 * takes half of the places, two take a third each, and some always stay free for the next endpoint.
 */
function roomFor({ concurrency, inHand, asked, rounds }: Deps, round: Round, flying: number): number {
  const free = concurrency - inHand.posts - asked.posts;
  const isShared = [...rounds.values()].some((other) => other !== round && other.wantsMore);
  const shared = isShared ? Math.ceil((free - flying) / 2) : free;
  return Math.min(maxPerEndpoint - flying, Math.max(shared, flying === 0 ? 1 : 0));
}
