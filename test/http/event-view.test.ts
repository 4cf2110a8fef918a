/** What openapi.yaml says of events is what webhooks and the feed are told: by its type a reader knows what the data of one says. */
import { describe, expect, it } from 'vitest';
import { emailEventTypes, eventTypes } from '../../src/domain/event.ts';
import { sampleEvent } from '../../src/domain/event-sample.ts';
import { eventView, payloadView } from '../../src/http/event-view.ts';
import { blocksIn, readDocument } from '../support/documents.ts';
import { openChecks, readOpenApi } from '../support/openapi.ts';

const document = readOpenApi();
const checkOf = openChecks(document);
const checkPayload = checkOf({ $ref: '#/components/schemas/EventPayload' });
const payloadOf = (type: (typeof eventTypes)[number]) => sampleEvent(type, Date.parse('2026-11-25T09:30:00Z'));

describe.each(eventTypes)('%s', (type) => {
  const payload = payloadOf(type);

  it('is shown as its schema says, with no field that the schema lacks', () => {
    expect(checkPayload(payload)).toEqual([]);
    const { data } = payloadView.parse(payload);
    const known = payloadView.options.find((kind) => kind.shape.type.safeParse(type).success)?.shape.data.shape ?? {};
    expect(Object.keys(data).filter((name) => !(name in known))).toEqual(['test']);
    const view = { object: 'event', id: 'ev_1', cursor: '1-0', ...payload };
    expect(eventView.parse(view)).toEqual(view);
  });

  it('has not the data of another noun', () => {
    const other = payloadOf(type.startsWith('email.') ? 'campaign.started' : 'email.sent');
    expect(checkPayload({ ...payload, data: other.data })).not.toEqual([]);
  });
});

it.each(emailEventTypes)('a made-up %s has every text that a real one has, as SDKs read it', (type) => {
  const { data } = payloadOf(type);
  const text = expect.stringMatching(/./);
  expect(data).toMatchObject({ created_at: text, message_id: text, from: text, subject: text });
  const saysWhy = ['bounced', 'delivery_delayed', 'failed', 'suppressed', 'expired', 'outcome_unknown'];
  if (saysWhy.some((name) => type === `email.${name}`)) expect(data.smtp ?? data.reason).not.toBeNull();
  if (data.smtp !== null) expect(data.transport).not.toBeNull();
});

it('the events that docs/webhooks.md shows are as the schema says', () => {
  const shown = blocksIn(readDocument('docs/webhooks.md')).filter(({ language }) => language === 'json');
  expect(shown).not.toEqual([]);
  for (const { code } of shown) expect(checkPayload(JSON.parse(code))).toEqual([]);
});

it('the examples of what webhooks get are as its schema says, and each reference leads somewhere', () => {
  const { event } = document.webhooks ?? {};
  const { schema = {}, examples = {} } = event?.post?.requestBody?.content['application/json'] ?? {};
  expect(Object.keys(examples)).toEqual(['event', 'batch']);
  for (const example of Object.values(examples))
    expect(checkOf(schema)('value' in example ? example.value : null)).toEqual([]);
});
