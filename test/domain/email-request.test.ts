/** The body of POST /v1/emails: every fault is named at once, where it is. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { askedEmailFor } from '../../src/domain/email-request.ts';
import { emailRequest, faultsOf, good, testLimits } from '../support/requests.ts';

describe('a request', () => {
  it('reads one recipient as a list of one, and objects as well as strings', () => {
    expect(emailRequest.parse({ ...good, cc: [{ email: 'c@x.co', name: 'C' }] })).toMatchObject({
      to: [{ address: 'b@x.co' }],
      cc: [{ address: 'c@x.co', name: 'C' }],
    });
  });

  it('with null for all that may be left out is the same as without', () => {
    const asked = askedEmailFor(testLimits);
    const { properties = {} } = z.toJSONSchema(asked, { io: 'input', unrepresentable: 'any' });
    const empty = Object.fromEntries(Object.keys(properties).map((name) => [name, null]));
    expect(asked.parse({ ...empty, ...good })).toStrictEqual(asked.parse(good));
    const file = { filename: 'a', content: 'AA==' };
    const inside = {
      attachments: [{ ...file, path: null, content_type: null, content_id: null }],
      cc: [{ email: 'c@x.co', name: null }],
      dsn: { notify: ['failure'], return: null },
    };
    const without = { attachments: [file], cc: 'c@x.co', dsn: { notify: ['failure'] } };
    expect(asked.parse({ ...good, ...inside })).toStrictEqual(asked.parse({ ...good, ...without }));
  });

  it('with an empty list for an object has an empty one, as PHP writes it', () => {
    const asked = askedEmailFor(testLimits);
    const filled = (empty: object) => ({
      ...{ from: 'a@x.co', to: 'b@x.co', subject: 's' },
      ...{ headers: empty, metadata: empty, template: { id: 't', variables: empty } },
    });
    expect(asked.parse(filled([]))).toStrictEqual(asked.parse(filled({})));
    expect(faultsOf({ ...good, headers: ['X-A: b'], metadata: [1] })).toHaveLength(2);
  });

  it('with null for a field of Resend that we do not have asks for nothing', () => {
    expect(emailRequest.parse({ ...good, topic_id: null })).toStrictEqual(emailRequest.parse(good));
    expect(faultsOf({ ...good, topic_id: 'news' })).toEqual(['/ Unrecognized key: "topic_id"']);
  });

  it('with null for a required or unknown field is refused', () => {
    expect(faultsOf({ ...good, to: null, subject: null, text: null, colour: null })).toEqual([
      '/ Unrecognized key: "colour"',
      '/html html or text is required',
      expect.stringMatching(/^.subject /),
      '/to is required',
    ]);
  });

  it('with faults everywhere has them all named', () => {
    const body = {
      from: 'nobody',
      to: ['b@x.co', 'c'],
      reply_to: { mail: 'x@x.co' },
      subject: 'two\r\nlines',
      headers: { 'Bad Name': 'x', Bcc: 'x@x.co', 'X-Ok': 'a\nb' },
      attachments: [{ filename: 'a\0.txt', content: 'not base64!' }],
      tags: [{ name: 'with space', value: 'x' }],
      colour: 'blue',
    };
    expect(faultsOf(body)).toEqual([
      '/ Unrecognized key: "colour"',
      '/attachments/0/content must be base64',
      '/attachments/0/filename must not contain control characters (CR, LF, NUL, …)',
      '/from is not an address: expected local-part@domain',
      '/headers/Bad Name is not a header name: 1 to 76 printable ASCII characters without a colon',
      '/headers/Bcc is set by Postrider or on the way, and cannot be given',
      '/headers/X-Ok must not contain control characters (CR, LF, NUL, …)',
      '/html html or text is required',
      '/reply_to must be "Name <a@b.c>", "a@b.c" or {"email": …, "name": …}',
      '/subject must not contain control characters (CR, LF, NUL, …)',
      '/tags/0/name must be 1 to 256 letters, digits, _ or -',
      '/to/1 is not an address: expected local-part@domain',
    ]);
  });

  it.each([
    [
      '51 recipients over to, cc and bcc',
      { to: Array(49).fill('b@x.co'), cc: 'c@x.co', bcc: 'd@x.co' },
      '/to to, cc and bcc may have at most 50 recipients together',
    ],
    ['a list over 50, none of which is read', { cc: Array(51).fill('nobody') }, '/cc may have at most 50 addresses'],
    [
      'a second file under one id',
      {
        attachments: ['a', 'b', 'c'].map((filename) => ({
          filename,
          content: 'AA==',
          content_id: filename === 'b' ? 'y' : 'x',
        })),
      },
      '/attachments/2/content_id is used by an earlier attachment',
    ],
    ['51 addresses for answers', { reply_to: Array(51).fill('b@x.co') }, '/reply_to may have at most 50 addresses'],
    [
      'two tags of one name, of which events would tell one',
      { tags: [...'aba'].map((name, place) => ({ name, value: `${place}` })) },
      '/tags/2/name is used by an earlier tag',
    ],
    ['an empty html and no text', { html: '', text: undefined }, '/html html or text is required'],
    ['no recipient', { to: [] }, '/to must have at least one recipient'],
    ['a lone surrogate in its subject', { subject: 'a\ud800' }, '/subject must be well-formed Unicode'],
    [
      'a header that could not be folded',
      { headers: { 'X-Long': 'w'.repeat(901) } },
      '/headers/X-Long must have a space at least every 900 characters: a line of mail has 998 at most',
    ],
    ['NUL in its text', { text: 'a\0' }, '/text must be well-formed Unicode without NUL'],
    [
      'a media type that smuggles a header',
      { attachments: [{ filename: 'a', content: '', content_type: 'text/plain\r\nX: y' }] },
      '/attachments/0/content_type must be a media type',
    ],
    [
      'a reserved header in other letters',
      { headers: { 'dKiM-sIgNaTuRe': 'x' } },
      '/headers/dKiM-sIgNaTuRe is set by Postrider or on the way, and cannot be given',
    ],
    ['a header twice, in other letters', { headers: { 'X-A': '1', 'x-a': '2' } }, '/headers/x-a is given twice'],
    ['a header without a value', { headers: { 'X-A': ' ' } }, '/headers/X-A must not be empty: leave the header out'],
    [
      'spaces that would be folded to an empty line',
      { subject: `a${' '.repeat(61)}b` },
      '/subject must not have more than 60 spaces in a row',
    ],
    [
      'an encoded word for a file name',
      { attachments: [{ filename: '=?utf-8?q?a?=', content: '' }] },
      '/attachments/0/filename must be the name itself, in Unicode, and not an encoded word (=?…?=)',
    ],
    [
      'a file name of spaces',
      { attachments: [{ filename: ' ', content: '' }] },
      '/attachments/0/filename must not be blank',
    ],
    [
      'a token beyond ASCII',
      { headers: { 'OTP-Token': 'ö' } },
      '/headers/OTP-Token must be ASCII: it cannot be encoded',
    ],
  ])('with %s is refused', (_, change, fault) => {
    expect(faultsOf({ ...good, ...change })).toContain(fault);
  });

  it.each([
    'text/calendar ; method=REQUEST',
    'text/calendar;  method=REQUEST\t;charset=utf-8',
    'application/pdf; name="invoice (1).pdf"',
    'application/octet-stream; x="a/b"; y=""',
    'text/plain; name="a \\"b\\" \\\\"',
  ])('may have an attachment of the media type %s', (content_type) => {
    expect(faultsOf({ ...good, attachments: [{ filename: 'a', content: '', content_type }] })).toEqual([]);
  });

  it.each([
    'text',
    'text/plain;',
    'text/plain; name',
    'text/plain; name=a b',
    'text/plain; name="a',
    'text/plain; name="a\\"',
    'text/plain; name="a"b"',
    'text/plain; name="a\tb"',
    'text/plain; name="ä"',
    'text/plain;\r\n name=a',
  ])('%j is no media type', (content_type) => {
    expect(faultsOf({ ...good, attachments: [{ filename: 'a', content: '', content_type }] })).toEqual([
      '/attachments/0/content_type must be a media type',
    ]);
  });

  it.each(['ö', 'a@b.co', '<a b@c.co>', '<ö@b.co>', '<a@b.co>, <c@d.co>', '<=?utf-8?q?a?=@b.co>', '<a@b.co'])(
    'with %s for a message id is refused',
    (id) => {
      const fault = 'must be message ids with a space between them: <id@example.com>';
      expect(faultsOf({ ...good, headers: { 'In-Reply-To': id, references: id } })).toEqual([
        `/headers/In-Reply-To ${fault}`,
        `/headers/references ${fault}`,
      ]);
    },
  );

  it('keeps headers that describe the body, trace the way or name recipients for others to set', () => {
    const names = [
      'Content-Length',
      'content-md5',
      'Resent-To',
      'Resent-Bcc',
      'ARC-Seal',
      'Received-SPF',
      'Delivered-To',
      'x-mc-BccAddress',
    ];
    const rest = ['Apparently-To', 'Authentication-Results', 'Return-Path', 'Sender', 'DomainKey-Signature'];
    const headers = Object.fromEntries([...names, ...rest].map((name) => [name, 'x']));
    expect(faultsOf({ ...good, headers })).toHaveLength(13);
    const free = { 'Content-Language': 'en', 'List-Unsubscribe': '<https://x.co>', References: '<a@b.co> <c@d.co>' };
    expect(faultsOf({ ...good, headers: { ...free, 'Auto-Submitted': 'auto-generated', 'X-SMTPAPI': '{}' } })).toEqual(
      [],
    );
  });

  it.each([' ', '=', 'A', `${'x'.repeat(900)} `, '=?', '=?a?q?', '"', '\\'])(
    'of %j without end is read in linear time',
    (text) => {
      const long = `A${text.repeat(Math.ceil(300_000 / text.length))}!`;
      const mailbox = { email: long, name: long };
      const attachment = { filename: long, content: long, content_type: long, content_id: long };
      const body = {
        ...good,
        from: mailbox,
        to: long,
        subject: long,
        headers: { [long]: 'x', 'X-A': long, References: long },
      };
      const work = () => faultsOf({ ...body, attachments: [attachment], tags: [{ name: long, value: long }] });
      // Linear work takes well under a second; quadratic work on this much text takes a minute, and is stopped.
      expect(runInNewContext('work().length', { work }, { timeout: 15_000 })).toBeGreaterThan(0);
    },
  );

  it('with base64 that ends in the middle of a byte is refused, padded or not', () => {
    const faultsIn = (content: string) =>
      emailRequest
        .safeParse({ ...good, attachments: [{ filename: 'a', content }] })
        .error?.issues.map(({ message }) => message);
    for (const content of ['A', 'AAAAA', 'AAAA A='])
      expect(faultsIn(content)).toEqual([expect.stringContaining('base64')]);
    for (const content of ['', 'AA', 'AA==', 'AAA', 'AA AA\n', 'AAAAAA==']) expect(faultsIn(content)).toBeUndefined();
  });

  it('takes the bytes of a file as SDKs write them, and both names of its content id', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const filesOf = (...attachments: object[]) => emailRequest.parse({ ...good, attachments }).attachments;
    const forms = [all.toString('base64'), [...all], JSON.parse(JSON.stringify(all))];
    for (const content of forms) expect(filesOf({ filename: 'a', content })).toEqual([{ filename: 'a', content: all }]);
    expect(filesOf({ filename: 'a', content: [], inline_content_id: 'logo' })).toEqual([
      { filename: 'a', content: Buffer.alloc(0), content_id: 'logo' },
    ]);
    const twice = { filename: 'a', content: '', content_id: 'a', inline_content_id: 'a' };
    expect(faultsOf({ ...good, attachments: [twice] })).toEqual([
      '/attachments/0/inline_content_id says the same as content_id: give one of them',
    ]);
  });

  it.each([[[256]], [[-1]], [[0.5]], [['1']], [{ type: 'Buffer', data: 'AA==' }], [{ data: [1] }], [5]])(
    'with %j for the bytes of a file is refused',
    (content) => {
      expect(faultsOf({ ...good, attachments: [{ filename: 'a', content }] })).toEqual([
        '/attachments/0/content must be base64, or a list of bytes from 0 to 255',
      ]);
    },
  );

  it.each(['%3D%3Futf-8%3FQ%3Fevil.exe%3F%3D', '%20', 'a%2f..%2fb.pdf', 'a%5Cb.pdf', 'a%0Ab.pdf'])(
    'takes no filename from a URL that ends in %s: it asks for one',
    (end) => {
      const path = `https://files.example.com/${end}`;
      expect(faultsOf({ ...good, attachments: [{ path }] })).toEqual(['/attachments/0/filename is required']);
      expect(faultsOf({ ...good, attachments: [{ path, filename: 'a.pdf' }] })).toEqual([]);
    },
  );

  it('with too many headers is refused by their number, before any of them is read', () => {
    const headers = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`X-${n}`, n === 0 ? 'a\r\nb' : 'v']));
    const issues = emailRequest.safeParse({ ...good, headers }).error?.issues;
    expect(issues).toMatchObject([{ path: ['headers'], message: 'must have at most 50 headers' }]);
  });

  it('with more attachments than allowed is refused by their decoded size', () => {
    const content = Buffer.alloc(13 * 1024 * 1024).toString('base64');
    expect(
      faultsOf({
        ...good,
        attachments: [
          { filename: 'a', content },
          { filename: 'b', content },
        ],
      }),
    ).toEqual(['/attachments may be 26214400 bytes together, decoded (MAX_ATTACHMENT_BYTES)']);
  });
});
