/** The headers of bulk mail: where its reader unsubscribes, and what it says of itself. */
import { expect, it } from 'vitest';
import type { Content } from '../../src/domain/email.ts';
import { compose, makeComposer } from '../../src/outbound/compose.ts';
import { storedEmail } from '../support/requests.ts';

const email = storedEmail([]);
const content: Content = { text: 'Hello', html: '<p>Hello</p>', headers: {}, attachments: [] };

it.each([
  [{}, ['List-Unsubscribe: <https://p.test/u/1>', 'List-Unsubscribe-Post: List-Unsubscribe=One-Click']],
  [{ 'List-Unsubscribe': '<https://x.co/out>' }, ['List-Unsubscribe: <https://x.co/out>']],
  [{ 'List-Unsubscribe': '<mailto:out@x.co>' }, ['List-Unsubscribe: <mailto:out@x.co>']],
  [
    { 'list-unsubscribe': '<http://x.co/out>' },
    ['List-Unsubscribe: <https://p.test/u/1>', 'List-Unsubscribe-Post: List-Unsubscribe=One-Click'],
  ],
  [
    { 'list-unsubscribe-post': 'List-Unsubscribe=One-Click' },
    ['list-unsubscribe-post: List-Unsubscribe=One-Click', 'List-Unsubscribe: <https://p.test/u/1>'],
  ],
])('says once where to unsubscribe, and once how, with %j of the caller', async (headers, expected) => {
  const raw = await compose(email, { ...content, headers }, new Map(), 'https://p.test/u/1');
  const lines = raw.toString().split('\r\n');
  expect(lines.filter((line) => /^list-unsubscribe/i.test(line))).toEqual(expected);
});

it('names an unsubscribe link without TLS if there is no link of ours', async () => {
  const headers = { 'List-Unsubscribe': '<http://x.co/out>' };
  const raw = await compose(email, { ...content, headers }, new Map());
  expect(raw.toString()).toMatch(/^List-Unsubscribe: <http:\/\/x\.co\/out>\r\n/);
});

it.each([
  [null, 'bulk:x.co'],
  ['cm_1', 'cm_1:bulk:x.co'],
])('marks bulk mail as such, also if there is no link of ours: campaign %s', async (campaignId, feedback) => {
  const bulk = storedEmail([], { facts: { lane: 'bulk', campaignId } });
  const own = { ...content, headers: { 'List-Unsubscribe': '<mailto:stop@x.co>' } };
  const raw = (await compose(bulk, own, new Map())).toString();
  const lines = raw.split('\r\n').filter((line) => /^(?:List|Precedence|Feedback)/i.test(line));
  const expected = ['List-Unsubscribe: <mailto:stop@x.co>', 'Precedence: bulk', `Feedback-ID: ${feedback}`];
  expect(lines).toEqual(expected);
  expect((await makeComposer()(bulk, own, new Map())).toString()).toBe(raw);
});
