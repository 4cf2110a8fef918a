/** docs/webhooks.md: its code verifies what Postrider really signed and refuses the rest, in each language that is here; what it shows is what comes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventTypes } from '../src/domain/event.ts';
import { blocksIn, readDocument, sectionOf } from './support/documents.ts';
import { openTerminal } from './support/terminal.ts';
import { until } from './support/until.ts';
import { isHere, type Posted, verifiers, verifyIn } from './support/verifiers.ts';

const webhooks = readDocument('docs/webhooks.md');
const blocks = blocksIn(webhooks);
const email = { from: 'ada@example.com', to: 'grace@example.com', subject: 'Grüße', text: 'It works.' };

const dir = mkdtempSync(join(tmpdir(), 'pr-verify-'));
afterAll(() => rmSync(dir, { recursive: true }));

let posted: Posted;

beforeAll(async () => {
  await using terminal = await openTerminal();
  const { receiver } = terminal;
  const { signing_secret: secret } = JSON.parse(await terminal.sh(blocks[0]?.code ?? ''));
  await terminal.api('POST', '/v1/emails', email);
  const { headers, body } = await until('the webhook', () => receiver.hooks[0]);
  posted = { secret, body, headers: Object.fromEntries(Object.entries(headers).map(([k, v]) => [k, String(v)])) };
});

type Case = readonly [what: string, isGenuine: boolean, given: Posted];

function cases(): Case[] {
  const { secret, headers, body } = posted;
  const { 'webhook-id': id = '', 'webhook-timestamp': timestamp, 'webhook-signature': signature = '' } = headers;
  const having = (others: Posted['headers']): Posted => ({ ...posted, headers: { ...headers, ...others } });
  const lastWeek = Number(timestamp) - 7 * 86_400;
  const signedThen = new Webhook(secret).sign(id, new Date(lastWeek * 1_000), body);
  return [
    ['as it came', true, posted],
    ['with another signature beside it', true, having({ 'webhook-signature': `v1,AAAA ${signature}` })],
    ['with one of a later version beside it', true, having({ 'webhook-signature': `v2,AAAA ${signature}` })],
    ['with another body', false, { ...posted, body: body.replace('Grüße', 'Gruße') }],
    ['with another secret', false, { ...posted, secret: `whsec_${Buffer.alloc(32).toString('base64')}` }],
    ['under another id', false, having({ 'webhook-id': 'ev_1' })],
    ['at another time', false, having({ 'webhook-timestamp': String(Number(timestamp) - 1) })],
    ['signed by another version', false, having({ 'webhook-signature': signature.replace('v1,', 'v2,') })],
    ['without a signature', false, having({ 'webhook-signature': '' })],
    [
      'signed well, a week ago',
      false,
      having({ 'webhook-timestamp': String(lastWeek), 'webhook-signature': signedThen }),
    ],
  ];
}

it.for(verifiers)('what it says in $language takes what we signed, and nothing else', (verifier, { skip }) => {
  const code = blocks.find(({ language }) => language === verifier.language)?.code;
  if (code === undefined) throw new Error(`there is no ${verifier.language} in docs/webhooks.md`);
  skip(!isHere(verifier), `${verifier.language} is not on this machine`);
  const all = cases();
  const given = all.map(([, , one]) => one);
  const answers = verifyIn(verifier, code, given, mkdtempSync(join(dir, verifier.language)));
  expect(all.map(([what], place) => [what, answers[place]])).toEqual(all.map(([what, isGenuine]) => [what, isGenuine]));
});

it('the event that it shows has the fields of one that comes', () => {
  const [shown] = blocks.filter(({ language }) => language === 'json').map(({ code }) => JSON.parse(code));
  const came = JSON.parse(posted.body);
  expect(Object.keys(shown)).toEqual(Object.keys(came));
  expect(Object.keys(shown.data)).toEqual(Object.keys(came.data));
});

it('has every type of event', () => {
  const events = sectionOf(webhooks, '## Events');
  expect(eventTypes.filter((type) => !events.includes(`\n| \`${type}\` |`))).toEqual([]);
});
