/** Send requests and emails for tests that need no service: the schema as the API has it by default, and an email with any field another. */
import type { EmailFacts, EmailState, StoredEmail } from '../../src/domain/email.ts';
import { emailRequestFor, type RequestLimits } from '../../src/domain/email-request.ts';
import type { Recipient } from '../../src/domain/recipient.ts';

export const testLimits: RequestLimits = {
  maxAttachmentBytes: 25 * 1024 * 1024,
  routes: () => ['default'],
  canUnsubscribe: true,
  now: () => Date.now(),
};

export const emailRequest = emailRequestFor(testLimits);

/** A body of POST /v1/emails without a fault. */
export const good = { from: 'a@x.co', to: 'b@x.co', subject: 'Hi', text: 'Hello' };

/** Where a body is wrong, and why, in the order of the places. */
export function faultsOf(body: unknown): string[] {
  return (emailRequest.safeParse(body).error?.issues ?? [])
    .map(({ path, message }) => `/${path.join('/')} ${message}`)
    .toSorted();
}

/** When the emails below were accepted. */
export const start = 1_000_000;

export function recipient(address: string, given: Partial<Recipient> = {}): Recipient {
  return {
    kind: 'to',
    address,
    status: 'queued',
    attempts: 0,
    smtp: null,
    transport: null,
    nextAttemptAt: start,
    reason: null,
    ...given,
  };
}

export function storedEmail(
  recipients: readonly Recipient[],
  given: { facts?: Partial<EmailFacts>; state?: Partial<EmailState> } & Partial<
    Pick<StoredEmail, 'version' | 'handOver'>
  > = {},
): StoredEmail {
  const facts: EmailFacts = {
    id: 'em_1',
    createdAt: start,
    keyId: 'k',
    messageId: 'em_1@x.co',
    from: { address: 'a@x.co' },
    replyTo: [],
    subject: 's',
    tags: [],
    metadata: null,
    externalId: null,
    lane: 'transactional',
    route: null,
    ttlMs: null,
    onUnknown: 'retry',
    dsn: null,
    template: null,
    campaignId: null,
  };
  const state: EmailState = {
    recipients,
    lastEvent: 'email.queued',
    sequence: 1,
    scheduledAt: null,
    since: start,
    expiresAt: null,
  };
  return {
    facts: { ...facts, ...given.facts },
    state: { ...state, ...given.state },
    version: given.version ?? 1,
    handOver: given.handOver ?? null,
  };
}
