/** Turns attachments into parts of a message: inline ones beside the HTML that shows them, an invitation also as an alternative to the text. */
import type { MailComposerAlternative, MailComposerAttachment } from 'nodemailer/lib/mail-composer';
import { detectMimeType, parseHeaderValue } from 'nodemailer/lib/mime-funcs';
import type { Attachment, Content, Files } from '../domain/email.ts';

export type Parts = {
  readonly attachments: MailComposerAttachment[];
  /** What stands beside text and HTML, after them. */
  readonly alternatives: MailComposerAlternative[];
};

/** @throws when the bytes of an attachment are not among `files` */
export function partsOf({ attachments, html }: Content, files: Files): Parts {
  const isInline = attachments.some(({ contentId }) => contentId !== null);
  const shown = isInline ? contentIdsIn(html ?? '') : new Set<string>();
  // Alternatives say the same thing: of two invitations only one can be it.
  const invitation = attachments.find((attachment) => invitationType(attachment) !== null);
  return {
    attachments: attachments.map((attachment) => partOf(attachment, shown, files)),
    alternatives: invitation === undefined ? [] : [alternativeOf(invitation, files)],
  };
}

function partOf(attachment: Attachment, shown: ReadonlySet<string>, files: Files): MailComposerAttachment {
  const { filename, contentId } = attachment;
  const content = bytesOf(attachment, files);
  const contentType = typeOf(attachment);
  const part = { filename, content, contentType, contentTransferEncoding: 'base64' };
  if (contentId === null) return { ...part, contentDisposition: 'attachment' };
  // Some mail clients hide what belongs to the HTML, so only what the HTML shows is put there.
  const place = shown.has(contentId) ? { cid: contentId } : { headers: { 'Content-ID': `<${contentId}>` } };
  // A text that is inline would be shown as part of the letter.
  const isShown = /^(?:image|audio|video)\//i.test(contentType);
  return { ...part, ...place, contentDisposition: isShown ? 'inline' : 'attachment' };
}

/** In base64 the invitation stays byte for byte what was given. */
function alternativeOf(invitation: Attachment, files: Files): MailComposerAlternative {
  const contentType = invitationType(invitation) ?? undefined;
  return { contentType, content: bytesOf(invitation, files), contentTransferEncoding: 'base64' };
}

function bytesOf({ filename, source }: Attachment, files: Files): Buffer {
  const bytes = source.kind === 'file' ? files.get(source.hash) : undefined;
  if (bytes === undefined) throw new Error(`the bytes of ${filename} are missing`);
  return bytes;
}

function typeOf(attachment: Attachment): string {
  // Mail clients show every text/calendar part that has a method; the second one is a file for those that do not.
  if (invitationType(attachment) !== null) return 'application/ics';
  const type = attachment.contentType ?? detectMimeType(attachment.filename);
  // The library writes parts of the two compound types unencoded, and takes them (.eml, .gzip) for what some file names mean.
  const { value } = parseHeaderValue(type);
  return mediaType.test(value) && !/^(?:multipart|message)\//i.test(value) ? type : 'application/octet-stream';
}

/** The type of an invitation as mail clients look for it (RFC 6047 section 2.4); null when it is none. */
function invitationType({ contentType }: Attachment): string | null {
  const { value, params } = parseHeaderValue(contentType ?? '');
  const { method = '', charset = 'utf-8' } = params;
  if (!/^text\/calendar$/i.test(value) || !token.test(method)) return null;
  const named = token.test(charset) ? charset.toLowerCase() : 'utf-8';
  return `text/calendar; charset=${named}; method=${method.toUpperCase()}`;
}

const token = /^[\w.+-]+$/;
const mediaType = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/;

/** The content ids that HTML refers to (RFC 2392). */
function contentIdsIn(html: string): ReadonlySet<string> {
  return new Set(Array.from(html.matchAll(/\bcid:([^\s"'<>()]+)/gi), ([, id = '']) => decodeId(id)));
}

function decodeId(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
