/** Requests with something nasty in one field or another, and the rest of them good, so that it gets as far as it can. */
import fc from 'fast-check';
import { nastyText, slyText } from './nasty-text.ts';

/** As much of a request as a test must know; the rest is for the schema to judge. */
export type NastyRequest = { readonly headers?: Readonly<Record<string, string>>; readonly subject: string };

/** Mostly good, so that a request with something nasty in one place is not refused for another. */
function mostly<T>(good: fc.Arbitrary<T>, ...rest: fc.Arbitrary<T>[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 40, arbitrary: good }, ...rest.map((arbitrary) => ({ weight: 1, arbitrary })));
}

const sly = mostly(slyText, nastyText);
/** What a name may be made of: the schema refuses what looks like an encoded word there. */
const name = mostly(
  slyText.map(
    (text) =>
      text
        .replaceAll('=?', '=')
        .replace(/ {61,}/g, ' ')
        .slice(0, 200) || 'x',
  ),
  slyText,
  nastyText,
);
const address = fc.constantFrom('a@b.co', "o'hara!x%y+z@b.co", 'ö@exämple.com', '"a,b;"@c.co', 'a@B.CO', '漢@b.co');
const mailbox = mostly<unknown>(
  fc.oneof(
    address,
    fc.record({ email: address, name }),
    fc.tuple(name, address).map(([quoted, email]) => `"${quoted.replace(/["\\]/g, '')}" <${email}>`),
    name.map((local) => `"${local.replace(/[^!-;=?A-~]|["\\.]/g, '').slice(0, 60)},x"@b.co`),
  ),
  nastyText,
  slyText.map((local) => `${local}@b.co`),
  slyText.map((bare) => `${bare} <a@b.co>`),
  fc.record({ email: slyText, name: nastyText }),
);
const mailboxes = fc.oneof(mailbox, fc.array(mailbox, { minLength: 1, maxLength: 3 }));

const headerName = mostly(
  fc.constantFrom(
    'X-A', 'x-a', 'x-A', 'X-Entity-Ref-ID', 'List-Unsubscribe', 'List-Unsubscribe-Post', 'List-ID', 'References', 'In-Reply-To', 'Auto-Submitted', 'Precedence',
    'Importance', 'Feedback-ID', 'Errors-To', 'Disposition-Notification-To', 'Return-Receipt-To', 'Comments', 'Keywords', 'Organization', 'OTP-Token', 'X-SMTPAPI',
    'X-Priority', 'Priority', 'constructor', 'toString', '0', 'x"y', "'", '>From', 'list', 'prepared', 'raw', 'BIMI-Selector', 'Content-Language',
    'x'.repeat(76),
  ), // biome-ignore format: one list reads best as one block
  fc.constantFrom(
    'Resent-To', 'Resent-Bcc', 'resent-from', 'Sender', 'BCC', 'bCc', 'Subject', 'Message-ID', 'message-id', 'Apparently-To', 'Delivered-To', 'X-MC-BccAddress', 'Authentication-Results',
    'Received', 'Received-SPF', 'Return-Path', 'ARC-Seal', 'DKIM-Signature', 'Content-Type', 'content-length', 'Content-Location', 'MIME-Version', 'Date',
  ), // biome-ignore format: one list reads best as one block
  nastyText,
  slyText,
);
const headerValue = mostly(
  fc.oneof(
    slyText.map((value) => value.trim() || 'x'),
    slyText.map((id) => `<${id}@b.co>`),
    fc.constantFrom(
      '<a@b.co>',
      '<a@b.co> <c@d.co>',
      'a@b.co',
      '<https://x.co/?u=1>, <mailto:u@x.co>',
      '<a b@c.co>',
      'ö',
    ),
  ),
  fc.constantFrom('', ' '),
  nastyText,
);
const headers = fc.array(fc.tuple(headerName, headerValue), { maxLength: 3 }).map((pairs) => Object.fromEntries(pairs));

const attachment = fc.record(
  {
    filename: fc
      .oneof(name, fc.constantFrom('a.pdf', 'a.eml', 'a.mht', 'a.gzip', 'a.html', 'a.txt', 'a', 'a.ics'))
      .map((given) => given || 'x'),
    content: fc.oneof(nastyText, fc.constant('.\r\n.\n\r..')).map((content) => Buffer.from(content).toString('base64')),
    content_type: mostly(
      fc.constantFrom(
        'text/plain', 'text/html; charset=utf-8', 'image/png; name="a b.png"', 'TEXT/PLAIN;name=x', 'text/calendar; method=REQUEST', 'application/pdf; boundary=x', 'application/pdf ;\tname="invoice (1).pdf"', 'a/b; x="\\"; y=z\\\\"',
      ), // biome-ignore format: one list reads best as one block
      slyText.map((value) => `text/plain; name="${value}"`),
      nastyText,
      fc.constant('message/rfc822'),
    ),
    content_id: mostly(fc.constantFrom('logo', 'logo@b.co'), slyText),
  },
  { requiredKeys: ['filename', 'content'] },
);
const body = fc.oneof(
  nastyText.map((piece) => piece.toWellFormed().replaceAll('\0', '')),
  slyText.map((piece) => `${piece}\r\n.\r\n..\n.${piece}\rFrom me`),
);

/** The body of a request, about a third of them acceptable. */
export const nastyRequest: fc.Arbitrary<NastyRequest> = fc.record(
  {
    from: mailbox,
    to: mailboxes,
    cc: mailboxes,
    bcc: mailboxes,
    reply_to: mailboxes,
    subject: sly,
    html: body,
    text: body,
    headers,
    attachments: fc.array(attachment, { maxLength: 2 }),
    tags: fc.array(fc.record({ name: mostly(fc.constant('kind'), nastyText), value: fc.constant('receipt') }), {
      maxLength: 1,
    }),
  },
  { requiredKeys: ['from', 'to', 'subject', 'text'] },
);
