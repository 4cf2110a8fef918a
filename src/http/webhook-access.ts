/** Finds the webhook endpoint that a request names, and what the routes of webhooks have in common. */
import type { Webhook } from '../domain/webhook.ts';
import type { Webhooks } from '../store/webhooks.ts';
import { ProblemError } from './problems.ts';

/** An endpoint receives the events of all mail, so a limited key may not see or change one. */
export const webhookConfig = { scope: 'manage', unrestricted: true } as const;

export function webhookMissing(id: string): ProblemError {
  return new ProblemError('not_found', `There is no webhook ${id}`);
}

/** @throws ProblemError 404 */
export async function findWebhook(webhooks: Pick<Webhooks, 'get'>, id: string): Promise<Webhook> {
  const webhook = await webhooks.get(id);
  if (webhook === null) throw webhookMissing(id);
  return webhook;
}
