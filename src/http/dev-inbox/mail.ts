/** Reads captured mail for people and scripts. All of its content was written by others and is treated as text. */
import PostalMime, { type Address, type Attachment, decodeWords, type Email } from 'postal-mime';
import { formatMailbox } from '../../domain/address.ts';
import { isoOf } from '../../domain/iso-time.ts';
import type { CapturedEntry, CapturedMail } from '../../store/inbox.ts';

/** A mail as the list shows it. */
export type MailSummary = {
  readonly id: string;
  readonly email_id: string;
  readonly created_at: string;
  /** The real sender and recipients, including bcc. */
  readonly envelope: CapturedEntry['envelope'];
  readonly from: string | null;
  readonly to: readonly string[];
  readonly subject: string | null;
  readonly attachments: readonly FileView[];
  /** Bytes of the whole message. */
  readonly size: number;
};

type MailView = MailSummary & {
  readonly cc: readonly string[];
  readonly reply_to: readonly string[];
  readonly text: string | null;
  readonly html: string | null;
  /** In their order, with encoded words decoded. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
};

type FileView = {
  readonly index: number;
  readonly filename: string | null;
  readonly content_type: string;
  /** Bytes after decoding. */
  readonly size: number;
};

export type MailFile = FileView & { readonly contentId: string | null; readonly content: Buffer };
export type ParsedMail = { readonly view: MailView; readonly files: readonly MailFile[] };

/** A message whose MIME parts cannot be parsed still has its place in the list, and its raw form. */
const unreadable: Email = { headers: [], headerLines: [], attachments: [], text: 'This message cannot be parsed.' };

export async function parseMail(mail: CapturedMail): Promise<ParsedMail> {
  const email = await PostalMime.parse(mail.raw).catch(() => unreadable);
  const files = email.attachments.map(toFile);
  return {
    files,
    view: {
      id: mail.id,
      email_id: mail.emailId,
      created_at: isoOf(mail.at),
      envelope: mail.envelope,
      from: toAddresses(email.from && [email.from])[0] ?? null,
      to: toAddresses(email.to),
      subject: email.subject ?? null,
      attachments: files.map(({ index, filename, content_type, size }) => ({ index, filename, content_type, size })),
      size: mail.raw.length,
      cc: toAddresses(email.cc),
      reply_to: toAddresses(email.replyTo),
      // The parser leaves one line break too many at the end of some parts, depending on their encoding. It cannot be told from one of the
      // mail's own.
      text: email.text?.replaceAll('\r\n', '\n').trimEnd() ?? null,
      html: email.html?.trimEnd() ?? null,
      headers: email.headers.map(({ originalKey, value }) => ({ name: originalKey, value: decodeWords(value) })),
    },
  };
}

export function summaryOf(view: MailView): MailSummary {
  const { cc: _cc, reply_to: _replyTo, text: _text, html: _html, headers: _headers, ...summary } = view;
  return summary;
}

function toAddresses(addresses: readonly Address[] = []): string[] {
  return addresses
    .flatMap((address) => address.group ?? [address])
    .map(({ address, name }) => formatMailbox(name === '' ? { address } : { address, name }));
}

function toFile({ filename, mimeType, contentId, content }: Attachment, index: number): MailFile {
  const bytes = typeof content === 'string' ? Buffer.from(content) : Buffer.from(new Uint8Array(content));
  return {
    index,
    filename,
    content_type: mimeType,
    size: bytes.length,
    contentId: contentId?.replace(/^<|>$/g, '') ?? null,
    content: bytes,
  };
}
