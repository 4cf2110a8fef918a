/** sweep: forgets what is past its retention, little by little, so that nobody has to wait meanwhile. */
import type { EventRetention } from '../store/event-retention.ts';
import type { Webhooks } from '../store/webhooks.ts';

type Deps = {
  eventRetention: EventRetention;
  webhooks: Pick<Webhooks, 'listeners'>;
  /** How long events, and deliveries of them, are kept, and how many events at most. */
  keep: { readonly eventsMs: number; readonly events: number };
  onTrouble(part: string, error: unknown): void;
  now(): number;
};

/**
 * Every worker does it, which does no harm: each forgets what is there still. Goes on until nothing is left to forget; what cannot be
 * forgotten now keeps nothing else.
 */
export async function sweep(deps: Deps, stop: AbortSignal): Promise<void> {
  const { eventRetention, webhooks, keep, now } = deps;
  const before = now() - keep.eventsMs;
  await forgetAll(deps, () => eventRetention.trimEvents(before, keep.events), stop);
  for (const { id } of await webhooks.listeners())
    await forgetAll(deps, () => eventRetention.forgetDeliveries(id, before), stop);
}

/** @param step says whether there may be more */
async function forgetAll({ onTrouble }: Deps, step: () => Promise<boolean>, stop: AbortSignal): Promise<void> {
  try {
    while (!stop.aborted && (await step()));
  } catch (error) {
    onTrouble('sweep', error);
  }
}
