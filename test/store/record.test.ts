/** What is packed comes back as it was, whatever stands in it. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseReply } from '../../src/domain/classify.ts';
import type { Content, EmailFacts, EmailState } from '../../src/domain/email.ts';
import { type EmailEvent, emailEventTypes, type TransportEvent, transportEventTypes } from '../../src/domain/event.ts';
import { faultCauses } from '../../src/domain/fault-cause.ts';
import { eventId, placeIn, timeOfId } from '../../src/domain/id.ts';
import { lanes } from '../../src/domain/lane.ts';
import { recipientKinds, recipientStatuses } from '../../src/domain/recipient.ts';
import { historyKinds } from '../../src/domain/timeline.ts';
import { packContent, unpackContent } from '../../src/store/content.ts';
import {
  packEvent,
  packFacts,
  packPlainEvent,
  packState,
  packStep,
  unpackEvent,
  unpackFacts,
  unpackState,
  unpackStep,
} from '../../src/store/record.ts';

/** Anything that JSON can say, well-formed or not; what an address or a subject may be is for the door to say. */
const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', ' ', '\ud800', '__proto__', '"\\\n'));
const time = fc.integer({ min: 0, max: 2 ** 45 });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
/** As JSON has it, which knows no -0. */
const json = fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)));
const address = fc.tuple(text, fc.domain()).map(([local, domain]) => `${local}@${domain}`);
const mailbox = fc.oneof(fc.record({ address }), fc.record({ address, name: text }));
const smtp = maybe(
  fc
    .oneof(text, fc.constantFrom('250 2.0.0 Ok', '550-5.1.1 No\n550 such', '421', `250 ${'x'.repeat(2_000)}😀`))
    .map(parseReply),
);
const id = fc.constant('em_01k9xw5yfv8m3q2r7t6b4n0c1d');

const facts: fc.Arbitrary<EmailFacts> = fc
  .record({
    id,
    createdAt: fc.oneof(time, fc.constant(timeOfId('em_01k9xw5yfv8m3q2r7t6b4n0c1d'))),
    keyId: text,
    messageId: fc.oneof(fc.constant('usual'), text),
    from: mailbox,
    replyTo: fc.array(mailbox, { maxLength: 3 }),
    subject: text,
    tags: fc.array(fc.record({ name: text, value: text }), { maxLength: 3 }),
    metadata: maybe(
      fc.dictionary(
        text.filter((name) => name !== '__proto__'),
        json,
        { noNullPrototype: true },
      ),
    ),
    externalId: maybe(text),
    lane: fc.constantFrom(...lanes),
    route: maybe(text),
    ttlMs: maybe(time),
    template: maybe(fc.record({ id: text, version: time })),
    campaignId: maybe(text),
    onUnknown: fc.constantFrom('retry', 'hold'),
    dsn: fc.constantFrom(null, { notify: 'never', return: 'full' }, { notify: ['failure'], return: 'headers' }),
  })
  .map(({ messageId, ...rest }) => {
    const domain = rest.from.address.slice(rest.from.address.lastIndexOf('@') + 1);
    return { ...rest, messageId: messageId === 'usual' ? `${rest.id}@${domain}` : messageId };
  });

const place = {
  kind: fc.constantFrom(...recipientKinds),
  status: fc.constantFrom(...recipientStatuses),
  attempts: fc.nat(),
  smtp,
  transport: maybe(text),
  nextAttemptAt: maybe(time),
  reason: maybe(text),
};
const state: fc.Arbitrary<EmailState> = fc.record({
  recipients: fc.array(
    fc.tuple(mailbox, fc.record(place)).map(([who, where]) => ({ ...who, ...where })),
    { minLength: 1, maxLength: 5 },
  ),
  lastEvent: fc.constantFrom(...emailEventTypes),
  sequence: fc.nat(),
  scheduledAt: maybe(time),
  since: time,
  expiresAt: maybe(time),
});

const event: fc.Arbitrary<EmailEvent> = fc
  .record({
    type: fc.constantFrom(...emailEventTypes),
    at: time,
    emailId: id,
    sequence: fc.nat(),
    to: fc.array(address, { minLength: 1, maxLength: 3 }),
    attempt: fc.nat(),
    transport: maybe(text),
    smtp,
    reason: maybe(text),
    isPlaced: fc.boolean(),
  })
  .map(({ isPlaced, ...given }) => ({
    ...given,
    ...(isPlaced ? { campaignId: placeIn(given.emailId).campaignId } : {}),
    id: eventId(given.emailId, given.sequence),
  }));

/** What Redis gives back: text goes there and back as UTF-8. */
const throughRedis = (packed: string) => Buffer.from(packed).toString();

it('facts come back as they were', () => {
  fc.assert(
    fc.property(facts, (given) => {
      expect(unpackFacts(given.id, throughRedis(packFacts(given)))).toEqual(given);
    }),
  );
});

it('a state comes back as it was', () => {
  fc.assert(
    fc.property(state, time, fc.boolean(), (given, createdAt, isUnmoved) => {
      const facts = { createdAt: isUnmoved ? given.since : createdAt };
      expect(unpackState(throughRedis(packState(given, facts)), facts)).toEqual(given);
    }),
  );
});

it('an event comes back as it was, for an email and for a transport', () => {
  const transportEvent: fc.Arbitrary<TransportEvent> = fc.record({
    id: text,
    type: fc.constantFrom(...transportEventTypes),
    at: time,
    transport: text,
    reason: maybe(text),
    cause: maybe(fc.constantFrom(...faultCauses)),
  });
  fc.assert(
    fc.property(event, transportEvent, (ofEmail, ofTransport) => {
      expect(unpackEvent(throughRedis(packEvent(ofEmail)))).toEqual(ofEmail);
      expect(unpackEvent(throughRedis(packPlainEvent(ofTransport)))).toEqual(ofTransport);
    }),
  );
});

it('a step of the timeline comes back as it was', () => {
  const told = fc.record(
    {
      type: fc.constantFrom(...emailEventTypes),
      seq: fc.nat(),
      who: fc.array(fc.nat(49), { minLength: 1 }),
      reply: text,
      reason: text,
    },
    { requiredKeys: ['type', 'seq', 'who'] },
  );
  const ms = fc.record({ connect: maybe(fc.nat()), envelope: maybe(fc.nat()), body: maybe(fc.nat()) });
  const trace = fc.record({ host: maybe(text), tls: maybe(text), ms });
  const step = fc.record(
    {
      at: time,
      kind: fc.constantFrom(...historyKinds.filter((kind) => kind !== 'accepted')),
      transport: text,
      detail: text,
      trace,
      events: fc.array(told, { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: ['at', 'kind'] },
  );
  fc.assert(
    fc.property(step, (given) => {
      expect(unpackStep(throughRedis(packStep(given)))).toEqual(given);
    }),
  );
});

it('content comes back as it was, small, compressed, compressed on the thread pool, and heavy', async () => {
  const source = fc.oneof(
    fc.record({ kind: fc.constant('file' as const), hash: text, bytes: fc.nat() }),
    fc.record({ kind: fc.constant('url' as const), url: text }),
  );
  const attachment = fc.record({ filename: text, contentType: maybe(text), contentId: maybe(text), source });
  // Anything else is refused before it is stored.
  const wellFormed = text.map((given) => given.toWellFormed());
  const body = maybe(fc.tuple(wellFormed, fc.constantFrom(1, 500, 100_000)).map(([part, times]) => part.repeat(times)));
  const name = text.filter((given) => given !== '__proto__');
  const content: fc.Arbitrary<Content> = fc.record({
    html: body,
    text: body,
    headers: fc.dictionary(name, text, { noNullPrototype: true }),
    attachments: fc.array(attachment, { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(content, async (given) => {
      expect(await unpackContent(await packContent(given), async () => null)).toEqual(given);
    }),
    { numRuns: 60 },
  );
});
