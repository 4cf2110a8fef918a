/** Whatever stands in any field of a request, the wire carries exactly the headers, recipients and bodies asked for, or the request is refused. */
import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import type { AddressObject, Attachment } from 'mailparser';
import addressparser from 'nodemailer/lib/addressparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Mailbox } from '../../src/domain/address.ts';
import type { EmailRequest } from '../../src/domain/email-request.ts';
import { type NastyRequest, nastyRequest } from '../support/nasty-request.ts';
import type { ReceivedMail } from '../support/smtp-server.ts';
import { decodeWords, headerOf, leavesOf, type Part, readMessage } from '../support/strict-mime.ts';
import { openWire, type Sent, sendOverTheWire, type Wire } from '../support/wire.ts';

let wire: Wire;
beforeAll(async () => {
  wire = await openWire();
});
afterAll(() => wire[Symbol.asyncDispose]());

/** Headers every message may have once, asked for or not. */
const own = new Set([
  'from', 'to', 'cc', 'reply-to', 'subject', 'message-id', 'date', 'mime-version', 'content-type', 'content-transfer-encoding', 'content-disposition', 'content-id',
]); // biome-ignore format: one list reads best as one block

describe('whatever is asked for', () => {
  it('is on the wire exactly, or refused', async () => {
    let accepted = 0;
    const parameters = { numRuns: 800, interruptAfterTimeLimit: 15_000 };
    let sending: ReturnType<typeof sendOverTheWire> | undefined;
    const property = fc.asyncProperty(nastyRequest, async (given) => {
      sending = sendOverTheWire(wire, given);
      const sent = await sending;
      if ('faults' in sent) return void expect(sent.faults.join()).toMatch(/\w/);
      if (isBeyondServer(sent.asked)) return;
      accepted += 1;
      expectAsAsked(given, sent);
    });
    await fc.assert(property, parameters);
    // The time limit leaves one on its way, which the next test would take for its own.
    await sending;
    expect(accepted).toBeGreaterThan(100);
  });

  const good = { from: 'a@b.co', to: 'c@d.co', subject: 'Hi', text: 'Hello' };
  const file = { filename: 'a.txt', content: Buffer.from('ö\rb\nc\0').toString('base64') };
  it.each<[string, object]>([
    ['a subject that is an encoded word', { subject: '=?utf-8?Q?=0D=0ABcc:_evil@x.co?=' }],
    [
      'a subject with an encoded word in it',
      { subject: 'Re: =?utf-8?B?DQpCY2M6IGV2aWxAeC5jbw==?= and =?utf-8?q?a b?=' },
    ],
    ['a header with an encoded word in it', { headers: { 'X-A': '=?utf-8?q?J=C3=B6rg?=' } }],
    [
      'a header that spaces at the end would fold to an empty line',
      { headers: { 'X-A': `${'x'.repeat(67)}${' '.repeat(50)}` } },
    ],
    ['an attached message without a media type', { attachments: [{ ...file, filename: 'a.eml' }] }],
    ['an attached archive without a media type', { attachments: [{ ...file, filename: 'a.gzip' }] }],
    ['an attached page with a content id', { attachments: [{ ...file, filename: 'a.html', content_id: 'page' }] }],
    ['an attachment and no text', { text: '', attachments: [file] }],
    ['lines that begin with dots', { text: '.\r\n..\n.\r.x\r\n.' }],
    ['a local part beyond ASCII in a header only', { reply_to: '漢@exämple.com', text: 'ö' }],
  ])('is so for %s', async (_, change) => {
    // biome-ignore format: one row reads best as one line
    const given = { ...good, ...change };
    expectAsAsked(given, await sendOverTheWire(wire, given));
  });
});

/** The test server splits a command at spaces and an address at its at sign, also inside quotes. */
function isBeyondServer({ from, to, cc = [], bcc = [] }: EmailRequest): boolean {
  return [from, ...to, ...cc, ...bcc].some(({ address }) => /^".*[\s@.\\].*"@/.test(address));
}

function expectAsAsked(given: NastyRequest, sent: Sent): void {
  if ('faults' in sent) throw new Error(sent.faults.join());
  const { asked, received, outcome, messageId } = sent;
  const codes: unknown[] = 'replies' in outcome ? outcome.replies.map(({ smtp }) => smtp.code) : [outcome];
  expect(new Set(codes)).toEqual(new Set([250]));
  if (received === undefined) throw new Error('The server has no mail');
  const message = readMessage(received.raw);
  expectEnvelope(asked, received);
  expectAddresses(message, received, 'from', [asked.from]);
  expectAddresses(message, received, 'to', asked.to);
  expectAddresses(message, received, 'cc', asked.cc ?? []);
  expectAddresses(message, received, 'reply-to', asked.reply_to ?? []);
  expect(headerOf(message.headers, 'message-id')).toBe(`<${messageId}>`);
  expectHeaders(given, message, received);
  expectContent(asked, message, received);
}

function expectEnvelope({ from, to, cc = [], bcc = [], reply_to = [] }: EmailRequest, received: ReceivedMail): void {
  // The server keeps one of several recipients that differ by case only.
  const fold = (addresses: string[]) => new Set(addresses.map((address) => canonical(address).toLowerCase()));
  expect(canonical(received.from)).toBe(canonical(from.address));
  expect(fold([...received.to])).toEqual(fold([...to, ...cc, ...bcc].map(({ address }) => address)));
  const isUtf8 = [from, ...to, ...cc, ...reply_to].some(({ address }) => /[\u0080-\u{10ffff}]/u.test(address));
  if (!isUtf8) expect(received.raw.toString('latin1')).not.toMatch(/[\x80-\xff]/);
}

/** By a strict reader and by mailparser. */
function expectAddresses(
  message: Part,
  received: ReceivedMail,
  name: 'from' | 'to' | 'cc' | 'reply-to',
  wanted: readonly Mailbox[],
): void {
  const value = headerOf(message.headers, name);
  expect(value === undefined).toBe(wanted.length === 0);
  const strict = addressparser(value, { flatten: true });
  expect(strict.map((one) => comparable({ ...one, name: decodeWords(one.name) }))).toEqual(wanted.map(comparable));
  const objects = [received.parsed[name === 'reply-to' ? 'replyTo' : name] ?? []].flat();
  const lenient = objects.flatMap((object: AddressObject) => object.value);
  expect(lenient.map(({ address = '', name: given }) => spaced(comparable({ address, name: given })))).toEqual(
    wanted.map((one) => spaced(comparable(one))),
  );
}

function expectHeaders(given: NastyRequest, message: Part, received: ReceivedMail): void {
  expect(decodeWords(headerOf(message.headers, 'subject') ?? '').trim()).toBe(given.subject.trim());
  expect(spaced([received.parsed.subject ?? ''])).toEqual(spaced([given.subject]));
  const asked = Object.entries(given.headers ?? {}).map(([name, value]) => `${name.toLowerCase()}: ${value.trim()}`);
  const isAsked = new Set(Object.keys(given.headers ?? {}).map((name) => name.toLowerCase()));
  const others = message.headers.filter(({ name }) => !own.has(name) || isAsked.has(name));
  expect(others.map(({ name, value }) => `${name}: ${decodeWords(value)}`).toSorted()).toEqual(asked.toSorted());
  for (const name of own) headerOf(message.headers, name);
}

function expectContent(asked: EmailRequest, message: Part, received: ReceivedMail): void {
  const attachments = asked.attachments ?? [];
  const leaves = leavesOf(message);
  const isFile = ({ headers }: Part) => headerOf(headers, 'content-disposition') !== undefined;
  const bodyOf = (type: string) =>
    leaves.find((leaf) => !isFile(leaf) && headerOf(leaf.headers, 'content-type')?.startsWith(type))?.body.toString();
  expect(lines(bodyOf('text/plain'))).toBe(lines(asked.text));
  expect(lines(bodyOf('text/html'))).toBe(lines(asked.html));
  const files = leaves.filter(isFile).map(({ body }) => body.toString('base64'));
  expect(files.toSorted()).toEqual(attachments.map(({ content }) => content?.toString('base64')).toSorted());
  // An invitation stands there twice: as a file, and as what mail clients show.
  const isShown = ({ contentType, filename }: Attachment) => contentType === 'text/calendar' && filename === undefined;
  const readFiles = received.parsed.attachments.filter((attachment) => !isShown(attachment));
  const named = readFiles.map(({ filename = '', cid = '' }) => spaced([filename, cid]).join());
  const wanted = attachments.map(({ filename, content_id = '' }) => spaced([filename, content_id]).join());
  expect(named.toSorted()).toEqual(wanted.toSorted());
}

/** A quoted local part without its quoting, of which readers leave out some, and the domain in A-labels. */
function canonical(address: string): string {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, at);
  return `${local.startsWith('"') ? local.replace(/[\s"\\]/g, '') : local}@${domainToASCII(address.slice(at + 1))}`;
}

/** Readers drop a name that only repeats the address. */
function comparable({ address, name = '' }: Mailbox): string[] {
  return [canonical(address), name === address ? '' : name];
}

/** mailparser makes one space of several where a line was folded. */
function spaced(texts: readonly string[]): string[] {
  return texts.map((text) => text.replace(/\s+/g, ' ').trim());
}

/** RFC 5322: a body is lines. */
function lines(text = ''): string {
  return text.replace(/\r\n?|\n/g, '\n').replace(/\n+$/, '');
}
