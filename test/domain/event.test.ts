/** What an event says to whoever is told of it: the caller's own words in each, and what the server said where it said something. */
import { describe, expect, it } from 'vitest';
import { bounceKinds } from '../../src/domain/bounce.ts';
import { parseReply } from '../../src/domain/classify.ts';
import { type EmailEvent, emailEventTypes, eventPayload } from '../../src/domain/event.ts';
import { recipientCategories } from '../../src/domain/reply-row.ts';
import { replyRows } from '../../src/domain/reply-rows.ts';
import { eventOf } from '../support/event-feed.ts';
import { storedEmail } from '../support/requests.ts';

const own = {
  tags: [
    { name: 'kind', value: 'receipt' },
    { name: 'shop', value: 'north' },
  ],
  metadata: { order: { id: 7, lines: ['a', null] } },
  externalId: 'order-7',
};
const { facts } = storedEmail([], { facts: { ...own, subject: 'Grüße', from: { address: 'a@x.co', name: 'A' } } });
const smtp = { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 No such user' };
const dataOf = (given: Partial<EmailEvent>, of: typeof facts | null = facts) =>
  eventPayload(eventOf('em_1', 3, given), of).data;

describe.each(emailEventTypes)('%s', (type) => {
  it('has the tags, metadata and external id that the email came with', () => {
    expect(dataOf({ type })).toMatchObject({
      tags: { kind: 'receipt', shop: 'north' },
      metadata: own.metadata,
      external_id: 'order-7',
      ...{ email_id: 'em_1', sequence: 3, from: 'a@x.co', to: ['b@example.org'], subject: 'Grüße' },
    });
  });

  it('has the reply with its codes if there was one, and null if there was none', () => {
    expect(dataOf({ type, smtp, attempt: 2, transport: 'ses' })).toMatchObject({ smtp, attempt: 2, transport: 'ses' });
    expect(dataOf({ type, reason: 'its ttl is over' })).toMatchObject({ smtp: null, reason: 'its ttl is over' });
  });

  it('says what is known of an email whose record is gone', () => {
    expect(dataOf({ type, smtp }, null)).toMatchObject({
      ...{ email_id: 'em_1', sequence: 3, to: ['b@example.org'], smtp },
      ...{ from: null, subject: null, created_at: null, message_id: null },
      ...{ tags: {}, metadata: {}, external_id: null },
    });
  });
});

it('names the campaign of its email, also once that is deleted', () => {
  const campaignId = 'cm_01kb2m7x4p6q8s0t2v4w600000';
  expect(dataOf({ campaignId }, null)).toMatchObject({ campaign_id: campaignId, from: null });
  expect(dataOf({}, null)).toMatchObject({ campaign_id: null });
});

it('an email that came without tags, metadata and external id has the same fields, empty', () => {
  const bare = storedEmail([]).facts;
  expect(dataOf({}, bare)).toMatchObject({ tags: {}, metadata: {}, external_id: null });
});

it.each([
  ['550 5.1.1 No such user', 'unknown_user', 'Permanent', 'General'],
  ['552 5.2.2 Mailbox full', 'mailbox_full', 'Transient', 'MailboxFull'],
  ['552 5.3.4 Message too big for system', 'too_large', 'Transient', 'MessageTooLarge'],
  ['554 5.7.1 Message rejected as spam', 'spam', 'Transient', 'ContentRejected'],
  ['554 5.7.1 Client host blocked using zen.spamhaus.org', 'blocklisted', 'Transient', 'General'],
  ['550 5.0.0 No', 'other', 'Undetermined', 'Undetermined'],
])('a bounce names its kind: %s', (reply, category, type, subType) => {
  expect(dataOf({ type: 'email.bounced', smtp: parseReply(reply) })).toMatchObject({
    bounce: { type, subType, category, suppressed: false, message: reply },
  });
});

it.each(replyRows.filter(({ action }) => action === 'fail'))(
  'a recipient that is suppressed for "$name" bounces permanently, and no other does',
  ({ category, suppress }) => {
    expect(bounceKinds[category].type === 'Permanent' || !suppress).toBe(true);
    if (bounceKinds[category].type === 'Permanent') expect(recipientCategories).toContain(category);
  },
);

it('a bounce says whether its address was suppressed, and mail to one that is, why nothing was sent', () => {
  expect(dataOf({ type: 'email.bounced', smtp, suppressed: true })).toMatchObject({ bounce: { suppressed: true } });
  const reason = 'suppressed for mail since 2026-11-24: somebody put it on the list';
  expect(dataOf({ type: 'email.suppressed', reason })).toMatchObject({
    suppressed: { message: reason, type: 'OnAccountSuppressionList' },
  });
});

it.each([
  [{ smtp }, smtp.reply],
  [{ reason: 'no mailbox' }, 'no mailbox'],
  [{}, ''],
])('a bounce and a failure say why under the names that SDKs read: %j', (given, message) => {
  expect(dataOf({ ...given, type: 'email.bounced' })).toMatchObject({
    bounce: { message },
  });
  expect(dataOf({ ...given, type: 'email.failed' })).toMatchObject({ failed: { reason: message } });
  expect(Object.keys(dataOf({ ...given, type: 'email.sent' }))).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/bounce|failed|suppressed/)]),
  );
});

it('webhook.disabled names its endpoint without what may be a secret in its URL', () => {
  const endpoint = 'https://ada:secret@app.example.com:8443/hooks/mail?token=secret#secret';
  const event = { id: 'ev_1', type: 'webhook.disabled', at: 1, webhookId: 'wh_1', endpoint, reason: 'gone' } as const;
  expect(eventPayload(event, null).data).toEqual({
    ...{ webhook_id: 'wh_1', endpoint: 'https://app.example.com:8443/hooks/mail', reason: 'gone' },
  });
});
