/** sweep-events: removes events and deliveries past their retention, a few at a time, so that nothing else has to wait. */
import type { EventRetention } from '../store/event-retention.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';

/** Most deliveries without a try that one sweep stores for an endpoint: the delivery log is for tries, and their number is reported. */
const maxUntried = 10;

type Deps = {
  eventRetention: EventRetention;
  webhooks: Pick<Webhooks, 'listeners'>;
  posts: Pick<Posts, 'dropLost'>;
  /** How long events and their deliveries are kept, and how many events at most. */
  keep: { readonly eventsMs: number; readonly events: number };
  /** Called with the parcels that waited for an endpoint until their events were no longer stored. */
  reportLost(lost: { webhookId: string; parcels: number }): void;
  onTrouble(part: string, error: unknown): void;
  now(): number;
};

/**
 * Every worker does it, which does no harm: each removes what is still there. Ends when nothing is left to remove; an error at one step
 * does not stop the next ones.
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

/** Without this, lost parcels of an endpoint that is down would be found one by one, at the pace of its tries. */
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
