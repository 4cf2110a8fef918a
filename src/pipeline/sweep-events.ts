/** sweep-events: forgets what is past its retention, little by little, so that nobody has to wait meanwhile. */
import type { EventRetention } from '../store/event-retention.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';

/** Deliveries that were never tried, written down of one endpoint at a time: the log is for what was tried, and how many there were is told. */
const maxUntried = 10;

type Deps = {
  eventRetention: EventRetention;
  webhooks: Pick<Webhooks, 'listeners'>;
  posts: Pick<Posts, 'dropLost'>;
  /** How long events, and deliveries of them, are kept, and how many events at most. */
  keep: { readonly eventsMs: number; readonly events: number };
  /** What waited for an endpoint until its events were no longer stored. */
  reportLost(lost: { webhookId: string; parcels: number }): void;
  onTrouble(part: string, error: unknown): void;
  now(): number;
};

/**
 * Every worker does it, which does no harm: each forgets what is there still. Goes on until nothing is left to forget; what cannot be
 * forgotten now keeps nothing else.
 */
export async function sweepEvents(deps: Deps, stop: AbortSignal): Promise<void> {
  const { eventRetention, webhooks, keep, now } = deps;
  const before = now() - keep.eventsMs;
  await forgetAll(deps, () => eventRetention.trimEvents(before, keep.events), stop);
  for (const { id } of await webhooks.listeners()) {
    await forgetAll(deps, () => eventRetention.forgetDeliveries(id, before), stop);
    await dropAllLost(deps, id, stop);
  }
}

/** What waits for an endpoint that is down is tried one by one, and would be found to be lost no faster. */
async function dropAllLost(deps: Deps, id: string, stop: AbortSignal): Promise<void> {
  let [parcels, untried] = [0, 0];
  const step = async () => {
    const dropped = await deps.posts.dropLost(id, deps.now(), maxUntried - untried);
    parcels += dropped.parcels;
    untried += dropped.untried;
    return dropped.parcels > 0;
  };
  await forgetAll(deps, step, stop);
  if (parcels > 0) deps.reportLost({ webhookId: id, parcels });
}

/** @param step says whether there may be more */
async function forgetAll({ onTrouble }: Deps, step: () => Promise<boolean>, stop: AbortSignal): Promise<void> {
  try {
    while (!stop.aborted && (await step()));
  } catch (error) {
    onTrouble('sweep', error);
  }
}
