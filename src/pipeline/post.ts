/** post: one try of one parcel at one endpoint. Signs, POSTs, decides, and stores the result. */
import { type Delivery, halvesOf, isBatch, lostDelivery, newDelivery, splitReason } from '../domain/delivery.ts';
import type { IdPrefix } from '../domain/id.ts';
import {
  decidePost,
  type Health,
  type PostDecision,
  type PostPolicy,
  type PostReport,
  type PostResult,
  pauseMs,
} from '../domain/post.ts';
import { disabledWebhook, type Webhook } from '../domain/webhook.ts';
import { batchId, bodyOf, type IdentifiedPayload, requestHeaders } from '../domain/webhook-request.ts';
import type { WebhookClient } from '../outbound/webhook-client.ts';
import type { Deliveries } from '../store/deliveries.ts';
import type { Posted } from '../store/post-settle.ts';
import type { TakenPosts } from '../store/post-take.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';

type PostDeps = {
  webhooks: Pick<Webhooks, 'change'>;
  deliveries: Pick<Deliveries, 'of'>;
  posts: Pick<Posts, 'settle' | 'drop'>;
  client: Pick<WebhookClient, 'post'>;
  /** The payloads of a parcel; events that are no longer stored are left out. */
  buildPayloads(parcel: string): Promise<IdentifiedPayload[]>;
  policy: PostPolicy;
  report(posted: PostReport): void;
  newId(prefix: IdPrefix): string;
  now(): number;
  /** The clock of this machine. */
  ownNow(): number;
  rand(): number;
};

/** A parcel in hand. */
export type LeasedPost = { readonly parcel: string; readonly dueSince: number } & Pick<
  TakenPosts,
  'leaseEnd' | 'health'
>;

/** Tries kept of one delivery: a schedule and a few replays. */
const maxTries = 30;

export async function post(deps: PostDeps, webhook: Webhook, taken: LeasedPost): Promise<void> {
  const { parcel } = taken;
  const [events, before] = await Promise.all([deps.buildPayloads(parcel), deps.deliveries.of(webhook.id, parcel)]);
  const first = events[0];
  // Its events are past their retention: the delivery has failed, and nothing is posted.
  if (first === undefined) return settle(deps, webhook, taken, { delivery: lostDelivery(parcel, before), ...lost });
  const webhookId = isBatch(parcel) ? batchId(parcel) : first.id;
  const body = bodyOf(events, isBatch(parcel));
  const signedAt = deps.ownNow();
  const headers = requestHeaders(webhook, webhookId, body, { now: deps.now(), signedAt });
  const result = await deps.client.post(webhook.endpoint, headers, body);
  const scheduleTries = triesSoFar(before);
  const made = { attempt: scheduleTries + 1, events: events.length, now: deps.now(), rand: deps.rand() };
  const decide = (health: Health) => decidePost(result, made, health, deps.policy);
  const decided = decide(taken.health);
  const decision = decided.kind === 'disable' ? await disable(deps, webhook, taken.health, decided, decide) : decided;
  const types = [...new Set(events.map(({ payload }) => payload.type))];
  const known = before ?? newDelivery(parcel, webhookId, types);
  const scheduleSince = scheduleTries === 0 ? taken.dueSince : known.scheduleSince;
  const begun = { ...known, scheduleTries, scheduleSince };
  const delivery = tried(begun, signedAt, result, decision);
  await settle(deps, webhook, taken, { delivery, result, decision });
}

/** `result` is null when nothing was posted, which says nothing about the endpoint. */
type Settled = { readonly delivery: Delivery; readonly result: PostResult | null; readonly decision: PostDecision };

const lost = { result: null, decision: { kind: 'failed' } } as const;

async function settle(deps: PostDeps, webhook: Webhook, taken: LeasedPost, { delivery, result, decision }: Settled) {
  const { health, leaseEnd } = taken;
  const now = deps.now();
  const posted = {
    delivery,
    leaseEnd,
    url: webhook.endpoint,
    batch: webhook.batch,
    endpoint: result === null ? null : standingAfter(decision),
    halves: decision.kind === 'split' ? halvesOf(delivery.parcel) : [],
    restUntil: now + pauseMs(now - (health.failingSince ?? now)),
    holdUntil: decision.kind === 'again' ? decision.holdUntil : null,
    answer: decision.kind === 'split' ? null : (result?.body ?? null),
  };
  const isOurs = await deps.posts.settle(webhook.id, posted, now);
  if (decision.kind === 'disable') await deps.posts.drop(webhook.id);
  if (isOurs) deps.report({ webhook, delivery, result, decision: decision.kind });
}

function standingAfter({ kind }: PostDecision): Posted['endpoint'] {
  if (kind === 'delivered') return 'up';
  // The endpoint only asked for a smaller batch.
  return kind === 'split' ? null : 'down';
}

type Disabling = Extract<PostDecision, { kind: 'disable' }>;

/**
 * Disables the endpoint and writes the event, before anything else: if this process dies right after, the next worker drops what waits.
 * An endpoint that was changed since the POST began (moved, enabled again) is not disabled: the parcel is posted to what it is now. The
 * address is compared as well as the revision, because an older version of Postrider does not count revisions. An endpoint that succeeded
 * since the POST began is not disabled either: this was its first failure.
 */
async function disable(
  deps: PostDeps,
  { id, revision, endpoint }: Webhook,
  { failingSince }: Health,
  decision: Disabling,
  decide: (health: Health) => PostDecision,
): Promise<PostDecision> {
  const event = { id: deps.newId('ev'), at: deps.now() };
  const isSame = (it: Webhook) => it.revision === revision && it.endpoint === endpoint;
  const after = await deps.webhooks.change(id, (before) => {
    const disabled = isSame(before) ? disabledWebhook(before, decision.reason, event) : null;
    return disabled && { ...disabled, failingSince: decision.reason === 'failing' ? failingSince : null };
  });
  if (after?.status !== 'enabled') return decision;
  return isSame(after)
    ? decide({ failures: 0, failingSince: null })
    : { kind: 'again', at: deps.now(), holdUntil: null };
}

/** Tries in the present schedule, before this one. A delivery that had ended begins a new schedule when it is replayed. */
function triesSoFar(before: Delivery | null): number {
  return before === null || before.nextAt === null ? 0 : before.scheduleTries;
}

function tried(before: Delivery, at: number, result: PostResult, decision: PostDecision): Delivery {
  const { status, ms, detail } = result;
  return {
    ...before,
    status: decision.kind === 'again' ? 'pending' : decision.kind === 'delivered' ? 'success' : 'failed',
    tries: [...before.tries, { at, status, ms, detail }].slice(-maxTries),
    attempts: before.attempts + 1,
    scheduleTries: before.scheduleTries + 1,
    nextAt: decision.kind === 'again' ? decision.at : null,
    reason: decision.kind === 'split' ? splitReason : null,
  };
}
