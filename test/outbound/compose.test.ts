/** The composer: which parts a message has and how they stand together, and that a parser reads back what was given. */
import { type ParsedMail, simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import type { Attachment, Content } from '../../src/domain/email.ts';
import { addFile } from '../../src/domain/file.ts';
import { compose } from '../../src/outbound/compose.ts';
import { allParts, type MimePart, outline, readMimeTree } from '../support/mime-tree.ts';
import { startProcess } from '../support/processes.ts';
import { recipient, storedEmail } from '../support/requests.ts';

const { facts, state } = storedEmail([]);

/** An attachment and its bytes. */
type File = Omit<Attachment, 'source'> & { readonly content: Buffer };
type Letter = Partial<Omit<Content, 'attachments'>> & { readonly attachments?: readonly File[] };

function file(filename: string, given: Partial<File> = {}): File {
  return { filename, contentType: null, contentId: null, content: Buffer.from(filename), ...given };
}

const pdf = file('report.pdf');
const logo = file('logo.png', { contentType: 'image/png', contentId: 'logo@x' });
const invite = file('invite.ics', { contentType: 'text/calendar; method=REQUEST; charset=utf-8' });
const html = '<p>Hello <img src="cid:logo@x"></p>';
const text = 'Hello';

async function composed({ attachments: given = [], ...letter }: Letter): Promise<{ tree: MimePart; mail: ParsedMail }> {
  const files = new Map<string, Buffer>();
  const attachments = given.map(({ content, ...rest }) => ({ ...rest, source: addFile(content, files) }));
  const raw = await compose({ facts, state }, { html: null, text: null, headers: {}, ...letter, attachments }, files);
  return { tree: readMimeTree(raw.toString()), mail: await simpleParser(raw, { skipImageLinks: true }) };
}

const structures: [what: string, content: Letter, expected: string[]][] = [
  ['text', { text }, ['text/plain']],
  ['html', { html }, ['text/html']],
  ['text and html', { text, html }, ['multipart/alternative', '  text/plain', '  text/html']],
  ['text, a file', { text, attachments: [pdf] }, ['multipart/mixed', '  text/plain', '  application/pdf']],
  ['html, a file', { html, attachments: [pdf] }, ['multipart/mixed', '  text/html', '  application/pdf']],
  [
    'text and html, a file',
    { text, html, attachments: [pdf] },
    ['multipart/mixed', '  multipart/alternative', '    text/plain', '    text/html', '  application/pdf'],
  ],
  ['html with an image', { html, attachments: [logo] }, ['multipart/related', '  text/html', '  image/png']],
  [
    'text and html with an image',
    { text, html, attachments: [logo] },
    ['multipart/alternative', '  text/plain', '  multipart/related', '    text/html', '    image/png'],
  ],
  [
    'html, an image it does not show',
    { html: '<p>cid:logo</p>', attachments: [logo] },
    ['multipart/mixed', '  text/html', '  image/png'],
  ],
  ['text, an image', { text, attachments: [logo] }, ['multipart/mixed', '  text/plain', '  image/png']],
  [
    'text, an invitation',
    { text, attachments: [invite] },
    ['multipart/mixed', '  multipart/alternative', '    text/plain', '    text/calendar', '  application/ics'],
  ],
  [
    'html, an invitation',
    { html, attachments: [invite] },
    ['multipart/mixed', '  multipart/alternative', '    text/html', '    text/calendar', '  application/ics'],
  ],
  [
    'everything',
    { text, html, attachments: [pdf, invite, logo] },
    [
      'multipart/mixed',
      '  multipart/alternative',
      '    text/plain',
      '    multipart/related',
      '      text/html',
      '      image/png',
      '    text/calendar',
      '  application/pdf',
      '  application/ics',
    ],
  ],
];

describe('a message', () => {
  it.each(structures)('of %s is put together as mail clients expect', async (_, content, expected) => {
    const { tree, mail } = await composed(content);
    expect(outline(tree)).toEqual(expected);
    expect(mail.text?.trimEnd() ?? '').toContain(content.text ?? '');
    expect((mail.html || '').trimEnd()).toBe(content.html ?? '');
    const files = mail.attachments.filter(({ filename }) => filename !== undefined);
    expect(files.map(({ filename, content: bytes }) => [filename, bytes.toString()]).sort()).toEqual(
      (content.attachments ?? []).map((given) => [given.filename, given.content.toString()]).sort(),
    );
  });

  it('gives an inline image its id, wherever it is', async () => {
    for (const given of [
      html,
      '<p>',
      '<img src="CID:logo%40x">',
      "<p style='background: url(cid:logo@x)'>",
      '<img src=cid:a%zz>',
    ]) {
      const { tree } = await composed({ html: given, attachments: [logo] });
      const image = allParts(tree).find(({ type }) => type === 'image/png');
      expect(image?.headers.get('content-id')).toBe('<logo@x>');
      expect(image?.headers.get('content-disposition')).toBe('inline; filename=logo.png');
      expect(tree.type).toBe(/logo/i.test(given) ? 'multipart/related' : 'multipart/mixed');
    }
  });
});

describe('the header', () => {
  const content: Content = { text, html, headers: {}, attachments: [] };

  it('has the recipients except Bcc, and the requested headers', async () => {
    const email = storedEmail(
      [recipient('a@x.co', { name: 'Ada' }), recipient('b@x.co', { kind: 'cc' }), recipient('c@x.co', { kind: 'bcc' })],
      { facts: { replyTo: [{ address: 'd@x.co' }], subject: 'Grüße' } },
    );
    const raw = await compose(email, { ...content, headers: { 'X-Order-ID': '118' } }, new Map());
    expect(raw.toString().slice(0, raw.indexOf('\r\n\r\n')).split('\r\n')).toEqual([
      'X-Order-ID: 118',
      'From: a@x.co',
      'To: Ada <a@x.co>',
      'Cc: b@x.co',
      'Reply-To: d@x.co',
      'Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=',
      'Message-ID: <em_1@x.co>',
      'Date: Thu, 01 Jan 1970 00:16:40 +0000',
      'MIME-Version: 1.0',
      'Content-Type: multipart/alternative; boundary="=_em_1_1"',
    ]);
    expect(raw.toString()).not.toContain('c@x.co');
  });

  it('is never from the caller where it is ours', async () => {
    const headers = { Bcc: 'evil@x.co', from: 'evil@x.co', 'Content-Type': 'text/plain', 'MIME-version': '2' };
    expect(await compose({ facts, state }, { ...content, headers }, new Map())).toEqual(
      await compose({ facts, state }, content, new Map()),
    );
  });

  it('is, as all else, the same bytes at each attempt', async () => {
    const files = new Map<string, Buffer>();
    const attachments = [{ ...pdf, source: addFile(pdf.content, files) }];
    const attempt = () => compose({ facts, state }, { ...content, attachments }, files);
    expect(await attempt()).toEqual(await attempt());
  });

  it('comes before one empty body where there is nothing to say', async () => {
    const raw = await compose({ facts, state }, { ...content, text: '', html: null }, new Map());
    expect(raw.toString()).toMatch(/\r\nContent-Transfer-Encoding: 7bit\r\n\r\n$/);
  });
});

describe('an invitation', () => {
  it.each([
    ['text/calendar; method=REQUEST; charset=utf-8', 'text/calendar; charset=utf-8; method=REQUEST'],
    ['Text/Calendar; charset="UTF-8"; METHOD="request"', 'text/calendar; charset=utf-8; method=REQUEST'],
    ['text/calendar;method=Cancel', 'text/calendar; charset=utf-8; method=CANCEL'],
    ['text/calendar; method=REPLY; charset=ISO-8859-1', 'text/calendar; charset=iso-8859-1; method=REPLY'],
  ])('given as %s is shown by mail clients, and is a file for others', async (contentType, shown) => {
    const bytes = Buffer.from(`BEGIN:VCALENDAR\r\nSUMMARY:Frühstück\n.\r\n${'x'.repeat(2_000)}\rEND`);
    const { tree, mail } = await composed({ text, attachments: [{ ...invite, contentType, content: bytes }] });
    const [alternative, attached] = allParts(tree).filter(({ type }) => /calendar|ics/.test(type));
    expect(alternative?.headers.get('content-type')).toBe(shown);
    expect(alternative?.headers.has('content-disposition')).toBe(false);
    expect(attached?.headers.get('content-type')).toBe('application/ics; name=invite.ics');
    expect(attached?.headers.get('content-disposition')).toBe('attachment; filename=invite.ics');
    for (const part of [alternative, attached])
      expect(Buffer.from(part?.body ?? '', 'base64').equals(bytes)).toBe(true);
    expect(mail.attachments.map(({ contentType }) => contentType)).toEqual(['text/calendar', 'application/ics']);
  });

  it.each([
    'text/calendar',
    'text/calendar; charset=utf-8',
    'text/calendar; method=""',
    'text/calendar; x-method=REQUEST',
    'application/ics; method=REQUEST',
    'text/plain; method=REQUEST',
  ])('is not what %s says: that is a plain file', async (contentType) => {
    const { tree } = await composed({ text, attachments: [{ ...invite, contentType }] });
    const [type = ''] = contentType.split(';');
    expect(outline(tree)).toEqual(['multipart/mixed', '  text/plain', `  ${type}`]);
    expect(tree.children[1]?.headers.get('content-disposition')).toBe('attachment; filename=invite.ics');
  });

  it('is the first one; a second one is a file', async () => {
    const second = { ...invite, filename: 'second.ics', contentType: 'text/calendar; method=CANCEL' };
    const { tree } = await composed({ text, attachments: [invite, second] });
    expect(outline(tree)).toEqual([
      'multipart/mixed',
      '  multipart/alternative',
      '    text/plain',
      '    text/calendar',
      '  application/ics',
      '  application/ics',
    ]);
  });
});

describe('a file', () => {
  it.each([
    'Übersicht – 2026.pdf',
    '報告書 第一四半期の売上と見通しについての詳細な説明資料.pdf',
    '👩🏽‍🚀 report.pdf',
    'with "quotes" and \\ and ; and = signs.pdf',
    "it's 100% (new).pdf",
    '=?utf-8?Q?not_encoded?=.pdf',
    `${'long '.repeat(50)}.pdf`,
    '   ',
  ])('named %j comes under that name', async (filename) => {
    const { mail, tree } = await composed({ text, attachments: [file(filename)] });
    expect(mail.attachments[0]?.filename?.trim()).toBe(filename.trim());
    const headers = [...(tree.children[1]?.headers.values() ?? [])];
    expect(headers).not.toEqual([]);
    for (const line of headers) expect(line).toMatch(/^[\x20-\x7e]*$/);
  });

  it.each([
    ['mail.eml', null],
    ['page.mht', null],
    ['logs.gzip', null],
    ['x.bin', 'multipart/mixed; boundary=x'],
    ['x.bin', 'message/rfc822'],
    ['x.bin', 'Mess(a comment)age/rfc822'],
    ['x.bin', ' multipart/related'],
    ['x.bin', 'not a type'],
    ['x.bin', ''],
  ])('%s of type %j is never written as it is', async (filename, contentType) => {
    const bytes = Buffer.from('a\n.\nb\r.\r\n.\r\nMAIL FROM:<x@y.co>\r\n\0\xff'.repeat(3), 'latin1');
    const { mail, tree } = await composed({ text, attachments: [file(filename, { contentType, content: bytes })] });
    expect(outline(tree)).toEqual(['multipart/mixed', '  text/plain', '  application/octet-stream']);
    expect(tree.children[1]?.headers.get('content-transfer-encoding')).toBe('base64');
    expect(mail.attachments[0]?.content.equals(bytes)).toBe(true);
  });

  it('is not shown in the letter without an id, even when it is an image', async () => {
    const { tree } = await composed({ html, attachments: [{ ...logo, contentId: null }] });
    expect(tree.children[1]?.headers.get('content-disposition')).toBe('attachment; filename=logo.png');
  });

  it('may be empty', async () => {
    const { mail } = await composed({ text, attachments: [file('empty.txt', { content: Buffer.alloc(0) })] });
    expect(mail.attachments.map(({ filename, size }) => [filename, size])).toEqual([['empty.txt', 0]]);
  });

  it('of 20 MB needs memory for a few times its size', async () => {
    const size = 20 * 1_024 * 1_024;
    const script = `
      import { compose } from './src/outbound/compose.ts';
      const email = ${JSON.stringify({ facts, state })};
      const written = async (content) => (await compose(email, { html: null, text: 'x', headers: {}, attachments: [
        { filename: 'x', contentType: null, contentId: null, source: { kind: 'file', hash: 'h' } }] }, new Map([['h', content]]))).length;
      await written(Buffer.alloc(1));
      const content = Buffer.alloc(${size}, 'x');
      const before = process.resourceUsage().maxRSS;
      console.log(await written(content), (process.resourceUsage().maxRSS - before) * 1024);`;
    await using child = startProcess(process.execPath, ['--input-type=module', '-e', script]);
    const [, length, grown] = await child.printed(/^(\d+) (\d+)$/m);
    expect(Number(length)).toBeGreaterThan((size * 4) / 3);
    expect(Number(grown)).toBeLessThan(8 * size);
  });
});
