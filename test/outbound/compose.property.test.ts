/** Held to nodemailer's MailComposer: whatever the request, a parser reads the same message from what we write as from what it writes. */
import fc from 'fast-check';
import { type AddressObject, type ParsedMail, simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { acceptEmail, leastBytesOf, type NewEmail } from '../../src/domain/email.ts';
import { compose } from '../../src/outbound/compose.ts';
import { nastyRequest } from '../support/nasty-request.ts';
import { nastyText } from '../support/nasty-text.ts';
import { composeReference } from '../support/reference-composer.ts';
import { emailRequest } from '../support/requests.ts';
import { decodeWords, readMessage } from '../support/strict-mime.ts';

const piece = fc.oneof(
  nastyText.map((text) => text.toWellFormed().replaceAll('\0', '')),
  fc.constantFrom(
    ' ',
    '\t',
    '\n',
    '.',
    'From ',
    '=',
    '<img src="cid:logo">',
    'x'.repeat(75),
    'Ж'.repeat(40),
    'é'.repeat(9),
  ),
);
const long = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));
const invitation = fc.constant({
  filename: 'i.ics',
  content: Buffer.from('BEGIN:VCALENDAR\r\n').toString('base64'),
  content_type: 'text/calendar; method=REQUEST',
});
/** As nasty, but with bodies that fill lines, and with invitations. */
const longRequest = fc
  .tuple(nastyRequest, fc.record({ text: long, html: long }), fc.option(invitation))
  .map(([request, bodies, given]) => ({ ...request, ...bodies, ...(given === null ? {} : { attachments: [given] }) }));

describe('what is composed', () => {
  it('is read as what MailComposer makes of the same request', async () => {
    let accepted = 0;
    const property = fc.asyncProperty(fc.oneof(nastyRequest, longRequest), async (given) => {
      const read = emailRequest.safeParse(given);
      if (!read.success) return;
      accepted += 1;
      const email = acceptEmail(read.data, { id: 'em_1', keyId: 'key_1', now: 1_700_000_000_000 });
      const raw = await compose(email, email.content, email.files);
      expectForm(raw, email);
      expect(raw.length).toBeGreaterThanOrEqual(leastBytesOf(email.content));
      expect(await readBack(raw)).toEqual(await readBack(await composeReference(email, email.content, email.files)));
    });
    await fc.assert(property, { numRuns: 500, interruptAfterTimeLimit: 20_000 });
    expect(accepted).toBeGreaterThan(100);
  });
});

/** The strict reader throws where a line is too long or does not end in CRLF. */
function expectForm(raw: Buffer, { facts, state }: NewEmail): void {
  readMessage(raw);
  const written = [facts.from, ...facts.replyTo, ...state.recipients.filter(({ kind }) => kind !== 'bcc')];
  if (written.some(({ address }) => /[\u0080-\u{10ffff}]/u.test(address))) return;
  expect(raw.toString('latin1')).toMatch(/^[\t\r\n\x20-\x7e]*$/);
}

async function readBack(raw: Buffer) {
  const mail = await simpleParser(raw, { skipImageLinks: true, skipHtmlToText: true, skipTextToHtml: true });
  return {
    headers: headersOf(mail),
    addresses: [mail.from, mail.to, mail.cc, mail.bcc, mail.replyTo].map(mailboxesOf),
    subject: spaced(mail.subject),
    date: mail.date?.getTime(),
    messageId: mail.messageId,
    references: mail.references,
    inReplyTo: mail.inReplyTo,
    text: lines(mail.text),
    html: lines(mail.html || ''),
    attachments: mail.attachments.map(({ contentType, contentDisposition, filename, cid, related, content }) => ({
      ...{ contentType, contentDisposition, cid, related },
      filename: spaced(filename),
      content: content.toString('base64'),
    })),
  };
}

/**
 * All but how the body is encoded and where its parts end. Names without regard to case, and values decoded here: the library makes an
 * encoded word of every value with a quote in it, which a parser does not look into where a header has a structure.
 */
function headersOf({ headerLines }: ParsedMail): string[] {
  return headerLines
    .map(({ key, line }) => `${key}: ${spaced(decodeWords(spaced(line.slice(key.length + 1))))}`)
    .filter((header) => !header.startsWith('content-transfer-encoding:'))
    .map((header) => header.replace(/^(content-type: [^;]+);.*/, '$1'))
    .toSorted();
}

function mailboxesOf(given: AddressObject | AddressObject[] | undefined): unknown[] {
  return [given ?? []].flat().flatMap(({ value }) => value.map(({ address, name }) => [address, spaced(name)]));
}

/** The parser makes one space of several where a line was folded. */
function spaced(text = ''): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** RFC 5322: a body is lines. */
function lines(text = ''): string {
  return text.replace(/\r\n?|\n/g, '\n').replace(/\n+$/, '');
}
