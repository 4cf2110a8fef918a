/** The list of routes: the open ones, and those below /v1 behind an API key. */
import { apiKeyRoutes } from './api-keys.ts';
import { campaignMoveRoutes } from './campaign-moves.ts';
import { recipientListRoutes } from './campaign-recipient-list.ts';
import { recipientRoutes } from './campaign-recipients.ts';
import { campaignRetryRoutes } from './campaign-retry.ts';
import { campaignRoutes } from './campaigns.ts';
import { devInboxRoutes } from './dev-inbox.ts';
import { docsRoutes } from './docs.ts';
import { batchRoutes } from './email-batch.ts';
import { changeRoutes } from './email-changes.ts';
import { historyRoutes } from './email-history.ts';
import { emailRoutes } from './emails.ts';
import { eventRoutes } from './events.ts';
import { healthRoutes } from './health.ts';
import { metricsRoutes } from './metrics.ts';
import type { Routes } from './server.ts';
import { suppressionBatchRoutes } from './suppression-batch.ts';
import { suppressionRoutes } from './suppressions.ts';
import { templateChangeRoutes } from './template-changes.ts';
import { templateVersionRoutes } from './template-versions.ts';
import { templateRoutes } from './templates.ts';
import { transportRoutes } from './transports.ts';
import { unsubscribeRoutes } from './unsubscribe.ts';
import { webhookChangeRoutes } from './webhook-changes.ts';
import { webhookDeliveryRoutes } from './webhook-deliveries.ts';
import { webhookReplayRoutes } from './webhook-replay.ts';
import { webhookRoutes } from './webhooks.ts';

type Deps = Parameters<typeof emailRoutes>[0] &
  Parameters<typeof changeRoutes>[0] &
  Parameters<typeof historyRoutes>[0] &
  Parameters<typeof eventRoutes>[0] &
  Parameters<typeof templateRoutes>[0] &
  Parameters<typeof templateChangeRoutes>[0] &
  Parameters<typeof campaignRoutes>[0] &
  Parameters<typeof campaignMoveRoutes>[0] &
  Parameters<typeof campaignRetryRoutes>[0] &
  Parameters<typeof recipientRoutes>[0] &
  Parameters<typeof recipientListRoutes>[0] &
  Parameters<typeof webhookRoutes>[0] &
  Parameters<typeof webhookChangeRoutes>[0] &
  Parameters<typeof webhookDeliveryRoutes>[0] &
  Parameters<typeof webhookReplayRoutes>[0] &
  Parameters<typeof transportRoutes>[0] &
  Parameters<typeof suppressionRoutes>[0] &
  Parameters<typeof suppressionBatchRoutes>[0] &
  Parameters<typeof apiKeyRoutes>[0] &
  Parameters<typeof unsubscribeRoutes>[0] &
  Parameters<typeof healthRoutes>[0] &
  Parameters<typeof metricsRoutes>[0] &
  DevDeps;
/** The dev inbox exists only where mail is captured. */
type DevDeps = Parameters<typeof devInboxRoutes>[0] & { hasDevInbox: boolean };

export function listRoutes(deps: Deps): { open: Routes[]; api: Routes[] } {
  return {
    open: [
      healthRoutes(deps),
      metricsRoutes(deps),
      unsubscribeRoutes(deps),
      docsRoutes(),
      ...(deps.hasDevInbox ? [devInboxRoutes(deps)] : []),
    ],
    api: [
      emailRoutes(deps),
      batchRoutes(deps),
      changeRoutes(deps),
      historyRoutes(deps),
      eventRoutes(deps),
      campaignRoutes(deps),
      campaignMoveRoutes(deps),
      campaignRetryRoutes(deps),
      recipientRoutes(deps),
      recipientListRoutes(deps),
      templateRoutes(deps),
      templateChangeRoutes(deps),
      templateVersionRoutes(deps),
      webhookRoutes(deps),
      suppressionRoutes(deps),
      suppressionBatchRoutes(deps),
      webhookChangeRoutes(deps),
      webhookDeliveryRoutes(deps),
      webhookReplayRoutes(deps),
      transportRoutes(deps),
      apiKeyRoutes(deps),
    ],
  };
}
