/** Turns content into the parts of a message: inline images next to the HTML that shows them, an invitation also as an alternative. */
import { detectMimeType, parseHeaderValue } from 'nodemailer/lib/mime-funcs';
import MimeNode from 'nodemailer/lib/mime-node';
import type { Attachment, Files } from '../domain/email.ts';
import { type AnyContent, type Text, whole } from '../domain/woven.ts';
import type { KnownText } from './known-text.ts';
import type { Leaf, Part } from './message.ts';
import { type Body, base64, textBody, textBodyOf, wovenBody } from './mime-body.ts';

/** Encoded lines of earlier letters, for each of the two texts. */
export type KnownTexts = { readonly plain: KnownText; readonly html: KnownText };

/**
 * The least nesting that mail clients understand (RFC 2046 section 5.1, RFC 2387): related within alternative within mixed.
 * @param known encoded lines of earlier letters
 * @throws when the bytes of an attachment are not among `files`
 */
export function partsOf({ text, html, attachments }: AnyContent, files: Files, known?: KnownTexts): Part {
  const shown = attachments.some(({ contentId }) => contentId !== null) ? contentIdsIn(textOf(html)) : none;
  // Some mail clients hide the parts that belong to the HTML, so only files that the HTML shows are put there.
  const isRelated = ({ contentId }: Attachment) => contentId !== null && shown.has(contentId);
  const related = attachments.filter(isRelated).map((attachment) => fileOf(attachment, files));
  const attached = attachments.filter((one) => !isRelated(one)).map((attachment) => fileOf(attachment, files));
  // Alternatives must say the same, so only one of several invitations can be an alternative.
  const invitation = attachments.find((attachment) => invitationType(attachment) !== null);
  const alternatives = [
    ...(text?.length ? [leafOf('plain', text, known?.plain)] : []),
    ...(html?.length ? [multipart('related; type="text/html"', [leafOf('html', html, known?.html), ...related])] : []),
    ...(invitation === undefined ? [] : [alternativeOf(invitation, files)]),
  ];
  if (alternatives.length + attached.length === 0) return leafOf('plain', '');
  return multipart('mixed', [
    ...(alternatives.length > 0 ? [multipart('alternative', alternatives)] : []),
    ...attached,
  ]);
}

const none: ReadonlySet<string> = new Set();

/** A single part needs no multipart around it. */
function multipart(subtype: string, parts: readonly Part[]): Part {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : { type: `multipart/${subtype}`, parts };
}

function leafOf(subtype: 'plain' | 'html', text: Text, known?: KnownText): Leaf {
  const body = known === undefined ? textBody(textOf(text)) : bodyOf(text, known);
  return { header: `Content-Type: text/${subtype}; charset=utf-8\r\n`, body };
}

function bodyOf(text: Text, known: KnownText): Body {
  return typeof text === 'string' ? textBodyOf(text, known) : wovenBody(text, known);
}

function textOf(text: Text | null): string {
  return (typeof text === 'string' ? text : whole(text)) ?? '';
}

function fileOf(attachment: Attachment, files: Files): Leaf {
  const { filename, contentId } = attachment;
  const contentType = typeOf(attachment);
  // The library writes the file name in two places and forms (RFC 2231, RFC 2047), for clients that read only one of them.
  const node = new MimeNode(contentType, { filename, rootNode: new MimeNode() });
  if (contentId !== null) node.setHeader('Content-ID', `<${contentId}>`);
  // An inline text would be shown as part of the letter, so only media are inline.
  const isShown = contentId !== null && /^(?:image|audio|video)\//i.test(contentType);
  node.setHeader('Content-Disposition', isShown ? 'inline' : 'attachment');
  return { header: `${node.buildHeaders()}\r\n`, body: base64(bytesOf(attachment, files)) };
}

/** In base64 the invitation stays unchanged byte for byte. */
function alternativeOf(invitation: Attachment, files: Files): Leaf {
  return { header: `Content-Type: ${invitationType(invitation)}\r\n`, body: base64(bytesOf(invitation, files)) };
}

function bytesOf({ filename, source }: Attachment, files: Files): Buffer {
  const bytes = source.kind === 'file' ? files.get(source.hash) : undefined;
  if (bytes === undefined) throw new Error(`the bytes of ${filename} are missing`);
  return bytes;
}

function typeOf(attachment: Attachment): string {
  // Mail clients show each text/calendar part with a method as an invitation. The second copy is a plain file for clients that do not.
  if (invitationType(attachment) !== null) return 'application/ics';
  const type = attachment.contentType ?? detectMimeType(attachment.filename);
  // The library writes parts of type multipart/* and message/* unencoded, and derives such types from some file names (.eml, .gzip).
  const { value } = parseHeaderValue(type);
  return mediaType.test(value) && !/^(?:multipart|message)\//i.test(value) ? type : 'application/octet-stream';
}

/** The type of an invitation as mail clients expect it (RFC 6047 section 2.4); null when the attachment is no invitation. */
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
