/** The same email as nodemailer's MailComposer writes it: what ours is held to. */
import MailComposer, { type MailComposerAlternative, type MailComposerAttachment } from 'nodemailer/lib/mail-composer';
import { detectMimeType, encodeWord, parseHeaderValue } from 'nodemailer/lib/mime-funcs';
import type { Mailbox } from '../../src/domain/address.ts';
import {
  type Attachment,
  type Content,
  type EmailFacts,
  type EmailState,
  type Files,
  mailboxesOf,
} from '../../src/domain/email.ts';

export async function composeReference(
  { facts, state }: { facts: EmailFacts; state: EmailState },
  content: Content,
  files: Files,
): Promise<Buffer> {
  const composer = new MailComposer({
    disableFileAccess: true,
    disableUrlAccess: true,
    baseBoundary: facts.id,
    from: toComposer(facts.from),
    to: mailboxesOf(state, 'to').map(toComposer),
    cc: mailboxesOf(state, 'cc').map(toComposer),
    replyTo: facts.replyTo.map(toComposer),
    subject: literal(facts.subject),
    messageId: `<${facts.messageId}>`,
    date: new Date(facts.createdAt),
    headers: Object.entries(content.headers).map(([key, value]) => ({ key, value: literal(value) })),
    ...(content.text === null ? {} : { text: toCrlf(content.text) }),
    ...(content.html === null ? {} : { html: toCrlf(content.html) }),
    attachments: content.attachments.map((attachment) => partOf(attachment, content.html ?? '', files)),
    alternatives: content.attachments.flatMap((attachment) => alternativeOf(attachment, files)).slice(0, 1),
  });
  return composer.compile().build();
}

/** Its SMTP client does this to a body, but not within what is encoded. */
function toCrlf(text: string): string {
  return text.replace(/\r\n?|\n/g, '\r\n');
}

function toComposer({ address, name = '' }: Mailbox): { address: string; name: string } {
  return { address, name };
}

function literal(text: string): string {
  const trimmed = text.trim();
  return /=\?[^?]*\?[bq]\?[^?]*\?=/i.test(trimmed) ? encodeWord(trimmed, 'Q', 52) : trimmed;
}

function partOf(attachment: Attachment, html: string, files: Files): MailComposerAttachment {
  const { filename, contentId } = attachment;
  const contentType = typeOf(attachment);
  const part = { filename, content: bytesOf(attachment, files), contentType, contentTransferEncoding: 'base64' };
  if (contentId === null) return { ...part, contentDisposition: 'attachment' };
  const ids = Array.from(html.matchAll(/\bcid:([^\s"'<>()]+)/gi), ([, id = '']) => id);
  const place = ids.includes(contentId) ? { cid: contentId } : { headers: { 'Content-ID': `<${contentId}>` } };
  const isShown = /^(?:image|audio|video)\//i.test(contentType);
  return { ...part, ...place, contentDisposition: isShown ? 'inline' : 'attachment' };
}

function alternativeOf(attachment: Attachment, files: Files): MailComposerAlternative[] {
  if (!isInvitation(attachment)) return [];
  const { charset = 'utf-8', method = '' } = parseHeaderValue(attachment.contentType ?? '').params;
  const contentType = `text/calendar; charset=${charset.toLowerCase()}; method=${method.toUpperCase()}`;
  return [{ contentType, content: bytesOf(attachment, files), contentTransferEncoding: 'base64' }];
}

function typeOf(attachment: Attachment): string {
  if (isInvitation(attachment)) return 'application/ics';
  const type = attachment.contentType ?? detectMimeType(attachment.filename);
  return /^(?:multipart|message)\//i.test(type) || !type.includes('/') ? 'application/octet-stream' : type;
}

function isInvitation({ contentType }: Attachment): boolean {
  return /^text\/calendar\b.*; ?method=\w/i.test(contentType ?? '');
}

function bytesOf({ filename, source }: Attachment, files: Files): Buffer {
  const bytes = source.kind === 'file' ? files.get(source.hash) : undefined;
  if (bytes === undefined) throw new Error(`the bytes of ${filename} are missing`);
  return bytes;
}
