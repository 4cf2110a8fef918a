/** The fields of a send request: mailboxes, attachments, tags, times. Each rule is written once and each fault is in plain words. */
import { z } from 'zod';
import { encodedWord, type Mailbox, makeMailbox, parseMailbox } from './address.ts';
import { bytesIn } from './bytes.ts';
import { headerSafe } from './email-headers.ts';
import { jsonObject, objectOf } from './json-object.ts';
import { nullLeavesOut } from './null-leaves-out.ts';
import { webUrl } from './web-url.ts';

/** Characters of html, and of text: the limit of most email APIs, and what one worker can compose without delaying other work. */
const maxBodyLength = 5 * 1024 * 1024;

export const bodyText = z
  .string()
  .max(maxBodyLength, { abort: true })
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be well-formed Unicode without NUL');

const addressSchema = {
  id: 'Mailbox',
  anyOf: [
    { type: 'string', examples: ['Ada Lovelace <ada@example.com>'] },
    {
      type: 'object',
      properties: {
        email: { type: 'string', description: 'The address alone.', examples: ['ada@example.com'] },
        name: {
          type: ['string', 'null'],
          description: 'The name to show with it. It needs no quoting.',
          examples: ['Lovelace, Ada'],
        },
      },
      required: ['email'],
      additionalProperties: false,
    },
  ],
  description: 'A mailbox: `a@b.c`, `Name <a@b.c>` or `{email, name}`.',
};

const addressObject = z.strictObject({ email: z.string(), name: z.string().nullish() });

export const mailbox = z
  .unknown()
  .transform((value, context): Mailbox => {
    const parsed = readMailbox(value);
    if (!('fault' in parsed)) return parsed;
    context.addIssue({ code: 'custom', message: parsed.fault });
    return z.NEVER;
  })
  .meta(addressSchema);

function readMailbox(value: unknown): Mailbox | { fault: string } {
  if (value === undefined) return { fault: 'is required' };
  if (typeof value === 'string') return parseMailbox(value);
  const object = addressObject.safeParse(value);
  if (object.success) return makeMailbox(object.data.email, object.data.name ?? undefined);
  return {
    fault: `must be "Name <a@b.c>", "a@b.c" or {"email": …, "name": …}${value === null ? ', or left out' : ''}`,
  };
}

/** A reference to the mailbox schema in the API document. */
const mailboxRef = { $ref: '#/components/schemas/Mailbox' };

/**
 * One mailbox or a list of them. The fault of a single one points at the field, that of one in a list at its place. A list that is too long is
 * not read. Where the field is needed, null counts as no field.
 */
export const mailboxes = (max: number, description: string, { isNeeded = false } = {}) =>
  z
    .unknown()
    .transform((value, context): Mailbox[] => {
      const list = Array.isArray(value) ? value : [isNeeded ? (value ?? undefined) : value];
      if (list.length > max) {
        context.addIssue({ code: 'custom', message: `may have at most ${max} addresses` });
        return z.NEVER;
      }
      return list.flatMap((item, index): Mailbox[] => {
        const parsed = readMailbox(item);
        if (!('fault' in parsed)) return [parsed];
        context.addIssue({ code: 'custom', message: parsed.fault, path: Array.isArray(value) ? [index] : [] });
        return [];
      });
    })
    .meta({ description, anyOf: [mailboxRef, { type: 'array', items: mailboxRef, maxItems: max }] });

/** Mailboxes in `reply_to`, of an email, a template or a campaign. */
export const maxReplyTo = 50;

/** Written so that each space can match in one way only: a form with two took 11 s for 100,000 spaces. */
const base64Form = /^[A-Za-z0-9+/\s]*(?:={1,2}\s*)?$/;

const byteList = { type: 'array', items: { type: 'integer', minimum: 0, maximum: 255 } };

const fileContent = z
  .unknown()
  .transform((given, context): Buffer => {
    const bytes = typeof given === 'string' ? fromBase64(given) : bytesIn(given);
    if (bytes !== null) return bytes;
    const message = typeof given === 'string' ? 'must be base64' : 'must be base64, or a list of bytes from 0 to 255';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .meta({
    description: 'The file in base64, or its bytes as a list of numbers. Give this or `path`.',
    examples: ['SGVsbG8='],
    anyOf: [
      { type: 'string' },
      byteList,
      {
        type: 'object',
        description: 'A Node.js Buffer, as JSON.',
        properties: {
          type: { const: 'Buffer', description: 'Always `Buffer`.' },
          data: { ...byteList, description: 'Its bytes.' },
        },
        required: ['type', 'data'],
        additionalProperties: false,
      },
    ],
  });

function fromBase64(text: string): Buffer | null {
  // One digit left over from groups of four is less than a byte.
  const isBase64 = base64Form.test(text) && countDigits(text) % 4 !== 1;
  return isBase64 ? Buffer.from(text, 'base64') : null;
}

/** Counts base64 digits by hand: removing the spaces took 4 s when each digit had one. */
function countDigits(text: string): number {
  let digits = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x2b && code <= 0x7a && code !== 0x3d) digits += 1;
  }
  return digits;
}

const attachmentUrl = webUrl(/^https$/, 'must be an https URL').meta({
  format: 'uri',
  description:
    'The URL to fetch the file from, once, before the email is sent. It must be https, and redirects are not followed.',
  examples: ['https://files.example.com/invoice.pdf'],
});

const fileName = headerSafe(255)
  .min(1)
  .refine((name) => name === '' || name.trim() !== '', 'must not be blank')
  .refine((name) => !encodedWord.test(name), 'must be the name itself, in Unicode, and not an encoded word (=?…?=)');

/** The filename in a URL is the last part of its path, and must not contain another path. */
const fileNameInUrl = fileName.refine((name) => !/[/\\]/.test(name));

const contentId = z.string().regex(/^[\w.+@-]{1,128}$/, 'must be 1 to 128 letters, digits and . _ + @ -');

/** RFC 2045 section 5.1. Written so that each character can match in one way only. */
const mediaType =
  /^[\w!#$&^.+-]{1,64}\/[\w!#$&^.+-]{1,64}(?:[ \t]*;[ \t]*[\w-]+=(?:[\w.+-]+|"(?:[ !#-[\]-~]|\\[ -~])*"))*$/;

const attachmentFields = z
  .strictObject({
    filename: fileName.optional().meta({
      description: 'The name the recipient sees. With `path`, the default is the last part of the URL.',
      examples: ['invoice.pdf'],
    }),
    content: fileContent.optional(),
    path: attachmentUrl.optional(),
    content_type: z
      .string()
      .max(500, { abort: true })
      .regex(mediaType, 'must be a media type')
      .refine((type) => !/^(?:multipart|message)\//i.test(type), 'must not be multipart/* or message/*')
      .optional()
      .meta({ description: 'The media type. The default depends on the filename.', examples: ['application/pdf'] }),
    content_id: contentId.optional().meta({
      description: 'An id to show the file inside the html, which refers to it as `cid:` followed by this id.',
      examples: ['logo'],
    }),
    inline_content_id: contentId.optional().meta({ description: 'Another name for `content_id`.', examples: ['logo'] }),
  })
  .refine(({ content, path }) => (content === undefined) !== (path === undefined), {
    path: ['content'],
    message: 'must have either content or path',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })
  .refine((given) => given.content_id === undefined || given.inline_content_id === undefined, {
    path: ['inline_content_id'],
    message: 'says the same as content_id: give one of them',
  });

const attachment = nullLeavesOut(attachmentFields)
  .transform(({ filename, inline_content_id, content_id = inline_content_id, ...rest }, context) => {
    const name = filename ?? lastPart(rest.path);
    if (name !== null) return { ...rest, ...(content_id === undefined ? {} : { content_id }), filename: name };
    context.addIssue({ code: 'custom', path: ['filename'], message: 'is required' });
    return z.NEVER;
  })
  .meta({ id: 'Attachment', description: 'A file to attach: given as `content`, or fetched from `path`.' });

const maxAttachments = 100;

/** A rule for a list: no two items have the same value in this field, where they have one. */
function eachOnce<Field extends string>(field: Field, item: string) {
  return (list: readonly { readonly [name in Field]?: string | undefined }[], context: z.RefinementCtx): void => {
    const seen = new Set<string>();
    for (const [index, { [field]: value }] of list.entries()) {
      if (value === undefined) continue;
      if (seen.has(value))
        context.addIssue({ code: 'custom', path: [index, field], message: `is used by an earlier ${item}` });
      seen.add(value);
    }
  };
}

/** Two files under one id would leave open which of them the html shows (RFC 2392). */
export const attachments = z
  .array(attachment)
  .max(maxAttachments, { abort: true })
  .superRefine(eachOnce('content_id', 'attachment'));

/** The filename at the end of a URL; null when there is none, or it cannot be written in a header. */
function lastPart(url: string | undefined): string | null {
  if (url === undefined || !URL.canParse(url)) return null;
  const part = new URL(url).pathname.split('/').at(-1) ?? '';
  const name = fileNameInUrl.safeParse(decode(part));
  return name.success ? name.data : null;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const maxTags = 50;

export const tag = z
  .strictObject({
    name: z
      .string()
      .regex(/^[\w-]{1,256}$/, 'must be 1 to 256 letters, digits, _ or -')
      .meta({ description: 'The name of the label.', examples: ['category'] }),
    value: z
      .string()
      .regex(/^[\w-]{0,256}$/, 'must be up to 256 letters, digits, _ or -')
      .meta({ description: 'The value of the label; may be empty.', examples: ['receipt'] }),
  })
  .meta({ id: 'Tag', description: 'A label.' });

/** Events hold tags by name, and filters match one value for each name. */
export const tags = z.array(tag).max(maxTags, { abort: true }).superRefine(eachOnce('name', 'tag'));

/** Bytes of metadata as JSON. They are stored with the email and sent with each of its events. */
const maxMetadataBytes = 4_096;

export const metadata = jsonObject(maxMetadataBytes)
  .refine(isExact, 'must not have numbers that JSON readers round: give them as strings')
  .meta({
    description: `Your own data, up to ${maxMetadataBytes} bytes as JSON. The email and each of its events contain it.`,
    examples: [{ order_id: 1234 }],
    ...objectOf({}),
  });

/** Whether the number that JSON.parse made equals the number as written: 64-bit ids and 1e400 do not. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number')
    return Number.isFinite(value) && (Number.isSafeInteger(value) || !Number.isInteger(value));
  if (typeof value !== 'object' || value === null) return true;
  return (Array.isArray(value) ? value : Object.values(value)).every(isExact);
}
