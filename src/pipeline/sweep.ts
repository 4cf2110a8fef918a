/** sweep: forgets what is past its retention, little by little, so that nobody has to wait meanwhile. */
import type { EventRetention } from '../store/event-retention.ts';
import type { Webhooks } from '../store/webhooks.ts';

type Deps = {
  eventRetention: EventRetention;
  webhooks: Pick<Webhooks, 'listeners'>;
  /** How long events, and deliveries of them, are kept, and how many events at most. */
  keep: { readonly eventsMs: number; readonly events: number };
  now(): number;
};

/** Every worker does it, which does no harm: each forgets what is there still. Goes on until nothing is left to forget. */
export async function sweep({ eventRetention, webhooks, keep, now }: Deps, stop: AbortSignal): Promise<void> {
  const before = now() - keep.eventsMs;
  while (!stop.aborted && (await eventRetention.trimEvents(before, keep.events)));
  for (const { id } of await webhooks.listeners())
    while (!stop.aborted && (await eventRetention.forgetDeliveries(id, before)));
}
