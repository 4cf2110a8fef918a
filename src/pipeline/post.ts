/** post: one try of one event at one endpoint. Signs, POSTs, records, and answers when to try again. */
import { eventPayload } from '../domain/event.ts';
import { type Answer, done } from '../domain/outcome.ts';
import { decidePost, type PostResult, readPostId, signatureHeaders } from '../domain/webhook.ts';
import type { WebhookClient } from '../outbound/webhook-client.ts';
import type { Deliveries } from '../store/deliveries.ts';
import type { Emails } from '../store/emails.ts';
import type { Outbox } from '../store/outbox.ts';
import type { Webhooks } from '../store/webhooks.ts';

type Deps = {
  outbox: Pick<Outbox, 'at'>;
  webhooks: Pick<Webhooks, 'get'>;
  emails: Pick<Emails, 'facts'>;
  deliveries: Pick<Deliveries, 'attempts' | 'record'>;
  client: Pick<WebhookClient, 'post'>;
  scheduleMs: readonly number[];
  report(posted: {
    webhookId: string;
    eventId: string;
    attempt: number;
    result: PostResult;
    ms: number;
    answer: Answer;
  }): void;
  now(): number;
  rand(): number;
};

/** @param id as `postId` makes it */
export async function post(deps: Deps, id: string): Promise<Answer> {
  const { place, webhookId } = readPostId(id);
  const [webhook, event, attempts] = await Promise.all([
    deps.webhooks.get(webhookId),
    deps.outbox.at(place),
    deps.deliveries.attempts(id),
  ]);
  // The endpoint was deleted or the event is past its retention: there is nobody to tell or nothing to say.
  if (webhook === null || event === null) return done;
  const [facts = null] = 'emailId' in event ? await deps.emails.facts([event.emailId]) : [];
  const body = JSON.stringify(eventPayload(event, facts));
  const signature = signatureHeaders(event.id, Math.floor(deps.now() / 1_000), body, webhook.secret);
  const startedAt = deps.now();
  const result = await deps.client.post(webhook.endpoint, { ...signature, ...fixedHeaders }, body);
  const ms = Math.max(0, deps.now() - startedAt);
  const attempt = attempts + 1;
  const answer = decidePost(result, attempt, deps.scheduleMs, deps.now(), deps.rand());
  await deps.deliveries.record(id, attempt, result, deps.now());
  deps.report({ webhookId, eventId: event.id, attempt, result, ms, answer });
  return answer;
}

const fixedHeaders = { 'content-type': 'application/json', 'user-agent': 'Postrider' };
