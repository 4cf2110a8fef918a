/** The body of `POST /v1/emails`: every rule about it in one schema, so that every fault is named at once. */
import { z } from 'zod';
import { type Mailbox, makeMailbox, parseMailbox } from './address.ts';

/** Recipients of one email over to, cc and bcc; each is a unit of state. */
export const maxRecipients = 50;
/** Addresses of one field that are looked at at all; a longer list is refused without reading it. */
const maxParsed = 1_000;
/** Decoded bytes of all attachments of one email. */
export const maxAttachmentBytes = 25 * 1024 * 1024;
/** RFC 5322 section 2.1.1 allows 998 octets on a line; a subject is folded, so this is a bound on sense. */
const maxSubjectLength = 998;
const maxTags = 50;
const maxHeaders = 50;
const maxHeaderLength = 4_096;

/** Headers that are ours to write; anything else may be set by the caller. */
const reservedHeaders = new Set([
  'content-type', 'content-transfer-encoding', 'content-disposition', 'content-id', 'mime-version', 'to', 'from', 'sender', 'cc', 'bcc',
  'subject', 'reply-to', 'date', 'message-id', 'return-path', 'received', 'dkim-signature',
]); // biome-ignore format: one list reads best as one block

/** A header is folded at its spaces only (RFC 5322 section 2.1.1). */
const longWord = /\S{901}/;

const controlCharacters = /[\p{Cc}]/u;

const headerSafe = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => !controlCharacters.test(text), 'must not contain control characters (CR, LF, NUL, …)')
    .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
    .refine(
      (text) => !longWord.test(text),
      'must have a space at least every 900 characters: a line of mail has 998 at most',
    );

const bodyText = z
  .string()
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be well-formed Unicode without NUL');

const addressSchema = {
  id: 'Mailbox',
  oneOf: [
    { type: 'string', examples: ['Ada Lovelace <ada@example.com>'] },
    {
      type: 'object',
      properties: { email: { type: 'string' }, name: { type: 'string' } },
      required: ['email'],
      additionalProperties: false,
    },
  ],
  description: 'A mailbox: `a@b.c`, `Name <a@b.c>` or `{email, name}`.',
};

const addressObject = z.strictObject({ email: z.string(), name: z.string().optional() });

const mailbox = z
  .unknown()
  .transform((value, context): Mailbox => {
    const parsed = readMailbox(value);
    if (!('fault' in parsed)) return parsed;
    context.addIssue({ code: 'custom', message: parsed.fault });
    return z.NEVER;
  })
  .meta(addressSchema);

function readMailbox(value: unknown): Mailbox | { fault: string } {
  if (typeof value === 'string') return parseMailbox(value);
  const object = addressObject.safeParse(value);
  if (object.success) return makeMailbox(object.data.email, object.data.name);
  return { fault: 'must be "Name <a@b.c>", "a@b.c" or {"email": …, "name": …}' };
}

/** A mailbox in the API's document, where its schema stands under this name. */
const mailboxRef = { $ref: '#/components/schemas/Mailbox' };

/** One mailbox or a list of them; a single one is read as a list of one, so that faults always carry an index. */
const mailboxes = z
  .unknown()
  .transform((value) => (Array.isArray(value) ? value : [value]))
  .pipe(z.array(mailbox).max(maxParsed))
  .meta({ anyOf: [mailboxRef, { type: 'array', items: mailboxRef, maxItems: maxRecipients }] });

const headers = z.record(z.string(), headerSafe(maxHeaderLength)).superRefine((given, context) => {
  const names = Object.keys(given);
  if (names.length > maxHeaders)
    context.addIssue({ code: 'custom', message: `must have at most ${maxHeaders} headers` });
  for (const name of names) {
    const fault = headerNameFault(name);
    if (fault !== null) context.addIssue({ code: 'custom', path: [name], message: fault });
  }
});

function headerNameFault(name: string): string | null {
  if (!/^[!-9;-~]{1,76}$/.test(name)) return 'is not a header name: 1 to 76 printable ASCII characters without a colon';
  const lower = name.toLowerCase();
  return reservedHeaders.has(lower) || lower.startsWith('arc-') ? 'is set by Postrider and cannot be given' : null;
}

const base64 = z
  .string()
  .refine((text) => /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text), 'must be base64')
  .transform((text) => Buffer.from(text, 'base64'))
  .meta({ description: 'The file, base64.' });

const attachment = z.strictObject({
  filename: headerSafe(255).min(1),
  content: base64,
  content_type: z
    .string()
    .max(500)
    .regex(/^[\w!#$&^.+-]{1,64}\/[\w!#$&^.+-]{1,64}(?:; ?[\w-]+=(?:[\w.+-]+|"[\w .+-]*"))*$/, 'must be a media type')
    .refine((type) => !/^(?:multipart|message)\//i.test(type), 'must not be multipart/* or message/*')
    .optional(),
  content_id: z
    .string()
    .regex(/^[\w.+@-]{1,128}$/, 'must be 1 to 128 letters, digits and . _ + @ -')
    .optional(),
});

const tag = z.strictObject({
  name: z.string().regex(/^[\w-]{1,256}$/, 'must be 1 to 256 letters, digits, _ or -'),
  value: z.string().regex(/^[\w-]{0,256}$/, 'must be up to 256 letters, digits, _ or -'),
});

/** Rules over several fields are checked even where a field has a fault of its own, so that all faults come at once. */
const always = ({ value }: { value: unknown }): boolean => typeof value === 'object' && value !== null;

export const emailRequest = z
  .strictObject({
    from: mailbox,
    to: mailboxes.refine((list) => list.length > 0, 'must have at least one recipient'),
    cc: mailboxes.optional(),
    bcc: mailboxes.optional(),
    reply_to: mailboxes.optional(),
    subject: headerSafe(maxSubjectLength),
    html: bodyText.optional(),
    text: bodyText.optional(),
    headers: headers.optional(),
    attachments: z.array(attachment).optional(),
    tags: z.array(tag).max(maxTags).optional(),
  })
  .refine((email) => email.html !== undefined || email.text !== undefined, {
    path: ['html'],
    message: 'html or text is required',
    when: always,
  })
  .refine((email) => countRecipients(email) <= maxRecipients, {
    path: ['to'],
    message: `to, cc and bcc may have ${maxRecipients} recipients together`,
    when: always,
  })
  .refine((email) => countAll(email.reply_to) <= maxRecipients, {
    path: ['reply_to'],
    message: `may have ${maxRecipients} addresses`,
    when: always,
  })
  .refine((email) => countBytes(email.attachments) <= maxAttachmentBytes, {
    path: ['attachments'],
    message: `may be ${maxAttachmentBytes} bytes together, decoded`,
    when: always,
  })
  .meta({ id: 'EmailRequest' });

export type EmailRequest = z.output<typeof emailRequest>;

function countRecipients(email: { to?: unknown; cc?: unknown; bcc?: unknown }): number {
  return countAll(email.to) + countAll(email.cc) + countAll(email.bcc);
}

function countAll(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

function countBytes(attachments: unknown): number {
  if (!Array.isArray(attachments)) return 0;
  const sizes = attachments.map((attachment) => (Buffer.isBuffer(attachment?.content) ? attachment.content.length : 0));
  return sizes.reduce((sum, size) => sum + size, 0);
}
