/** What the report says of webhooks. */
import type { Webhooks } from './measure-webhooks.ts';
import { table, whole } from './table.ts';

export function webhooksTable({ single, batched, bare, waiting }: Webhooks): string {
  const events = `${whole(waiting.events)} events waiting for a dead endpoint`;
  return table(
    ['webhooks', 'of the limit', ''],
    [
      ['to one endpoint, one by one', (single / bare).toFixed(2), `${whole(single)} events/s`],
      ['in batches of 100', (batched / bare).toFixed(2), `${whole(batched)} events/s`],
      ['limit: bare POSTs, same client', '', `${whole(bare)} POSTs/s`],
      [events, '', `${whole(waiting.bytes)} bytes each beside the event`],
    ],
  );
}

export function webhooksSummary({ single, batched, bare, waiting }: Webhooks): string {
  const ratios = `${(single / bare).toFixed(2)} of bare POSTs, batched ${(batched / bare).toFixed(2)}`;
  return `webhooks ${ratios}, ${whole(waiting.bytes)} B/waiting`;
}
