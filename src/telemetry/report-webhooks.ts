/** Reports of webhooks: each POST, and events that no endpoint receives. */

import { maskAddresses } from '../domain/address.ts';
import { placesIn } from '../domain/delivery.ts';
import { isoOrNull } from '../domain/iso-time.ts';
import type { PostReport } from '../domain/post.ts';
import { type Log, maxIds } from './log.ts';
import type { Meters } from './meters.ts';

export function makeWebhookReports(log: Log, meters: Pick<Meters, 'posted'>) {
  return {
    posted({ webhook, delivery, result, decision }: PostReport): void {
      const { id, webhookId, attempts, nextAt, reason } = delivery;
      const detail = result?.detail ?? reason;
      const fields = {
        webhook_id: webhook.id,
        delivery_id: id,
        id: webhookId,
        events: placesIn(delivery.parcel).length,
        attempt: attempts,
        status: result?.status,
        detail: detail === null ? undefined : maskAddresses(detail),
        ms: result?.ms,
        again_at: isoOrNull(nextAt),
      };
      if (decision === 'disable') log.warn(fields, 'webhook disabled');
      else log.info(fields, 'webhook');
      if (result !== null) meters.posted(result.status, result.ms);
    },

    lost({ webhookId, parcels }: { webhookId: string; parcels: number }): void {
      log.warn({ webhook_id: webhookId, parcels }, 'events that waited for a webhook are no longer stored');
    },

    unreadable(places: readonly string[]): void {
      const fields = { events: places.length, cursors: places.slice(0, maxIds) };
      log.error(fields, 'events cannot be read, so no webhook gets them');
    },
  };
}
