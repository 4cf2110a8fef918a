/** Headers: what may be in one (RFC 5322, RFC 2047), and which ones a caller may set. */
import { z } from 'zod';
import { encodedWord } from './address.ts';
import { objectOf, objectWithin } from './json-object.ts';
import { instructionHeaders, instructionsFault } from './relay-instructions.ts';

const maxHeaders = 50;
const maxHeaderLength = 4_096;

/**
 * Headers that only we write, or only a relay or receiver on the way: traces (RFC 5321 section 4.4, RFC 8601, RFC 7208), and those from which
 * some relays read recipients or detect a mail loop. The caller may set any other header, and `Message-ID` with a key that allows it.
 */
const reservedHeaders = new Set([
  'mime-version', 'to', 'from', 'sender', 'cc', 'bcc', 'subject', 'reply-to', 'date', 'return-path', 'received', 'dkim-signature',
  'domainkey-signature', 'received-spf', 'authentication-results', 'delivered-to', 'apparently-to', 'x-mc-bccaddress',
]); // biome-ignore format: one list reads best as one block
/** Whole families: MIME (RFC 2045 section 9: they would describe our body), ARC (RFC 8617), resending (RFC 5322 section 3.6.6). */
const reservedFamilies = /^(?:content|arc|resent)-(?!language$)/;
/** Their value is a list of message ids (RFC 5322 section 3.6.4), which may not be encoded. */
const messageIdHeaders = new Set(['in-reply-to', 'references']);
const messageIds = /^<[!-;=?-~]+>(?: +<[!-;=?-~]+>)*$/;
/** One message id without comments and quoted parts. */
const oneMessageId = /^<[\w!#$%&'*+\-/=?^`{|}~.]{1,120}@[\w.-]{1,120}>$/;
/**
 * Structured headers where an encoded word would not be read, or would hide the address in it: receipts (RFC 8098), lists (RFC 2369, RFC 2919),
 * and headers that programs read. A name beyond ASCII is left out.
 */
const asciiHeaders = new Set([
  'disposition-notification-to', 'disposition-notification-options', 'return-receipt-to', 'x-confirm-reading-to', 'errors-to', 'bounces-to',
  'mail-followup-to', 'mail-reply-to', 'abuse-reports-to', 'original-recipient', 'require-recipient-valid-since', 'archived-at', 'auto-submitted',
  'precedence', 'feedback-id', 'importance', 'priority', 'x-priority', 'sensitivity', 'content-language', 'expires', 'supersedes', 'thread-index',
  'x-auto-response-suppress', 'bimi-selector', 'tls-required', 'otp-token', ...instructionHeaders,
]); // biome-ignore format: one list reads best as one block
const asciiFamilies = /^list-/;
/** Those of them that have a phrase before the angle brackets. The phrase may be encoded (RFC 2047 section 5). */
const phraseHeaders = new Set([
  'list-id', 'disposition-notification-to', 'return-receipt-to', 'x-confirm-reading-to', 'errors-to', 'bounces-to', 'mail-followup-to',
  'mail-reply-to', 'abuse-reports-to',
]); // biome-ignore format: one list reads best as one block
const phraseForm = /^(?:"((?:[^"\\]|\\.)*)"|([^<>"\\,]+?)) *<([!-;=?-~]+)>$/u;
/** RFC 2369 section 2: programs unsubscribe only through these kinds of URL. */
const wayOut = /<(?:https?:\/\/|mailto:)[!-;=?-~]+>/i;
/** RFC 8058 section 3.1: mailbox providers do not accept a link without TLS. */
const goodWayOut = /<(?:https:\/\/|mailto:)[!-;=?-~]+>/i;
/** RFC 8058 section 3.1: the only value there is. */
const oneClick = /^ *List-Unsubscribe=One-Click *$/i;
const spacedWayOut = /<(?:https?:\/\/|mailto:)[^<> ]* [^<>]*>/i;

/** A header is folded only at its spaces (RFC 5322 section 2.1.1). */
const maxWordLength = 900;
/** A longer run would be folded into a line of nothing but spaces, which ends the header for a reader that trims lines. */
const spaceRun = / {61}/;

const controlCharacters = /[\p{Cc}]/u;

export const headerSafe = (max: number) =>
  z
    .string()
    .max(max, { error: `must be at most ${max} characters`, abort: true })
    .refine((text) => !controlCharacters.test(text), 'must not contain control characters (CR, LF, NUL, …)')
    .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
    .refine((text) => !spaceRun.test(text), 'must not have more than 60 spaces in a row')
    .refine(
      (text) => longestWord(text) <= maxWordLength,
      `must have a space at least every ${maxWordLength} characters: a line of mail has 998 at most`,
    );

/** By hand: `/\S{901}/` retries from each character of a long word, 1 s for 900,000 characters. */
function longestWord(text: string): number {
  if (text.length <= maxWordLength) return text.length;
  let longest = 0;
  for (const word of text.split(/\s/)) longest = Math.max(longest, word.length);
  return longest;
}

/** Counted before any of them is read: a body can have half a million. */
const countedHeaders = objectWithin(
  (given) => Object.keys(given).length <= maxHeaders,
  `must have at most ${maxHeaders} headers`,
);

export const headers = countedHeaders
  .pipe(z.record(z.string(), headerSafe(maxHeaderLength)))
  .superRefine((given, context) => {
    const seen = new Set<string>();
    for (const [name, value] of Object.entries(given)) {
      const lower = name.toLowerCase();
      const fault = headerNameFault(name) ?? (seen.has(lower) ? 'is given twice' : headerValueFault(lower, value));
      seen.add(lower);
      if (fault !== null) context.addIssue({ code: 'custom', path: [name], message: fault });
    }
  })
  .meta({
    description:
      'Headers to add, by name. Headers that Postrider or a relay writes are refused. So is `Message-ID`, unless the key may set it.',
    examples: [{ 'X-Entity-Ref-ID': '1234' }],
    ...objectOf({ type: 'string', maxLength: maxHeaderLength }),
  });

function headerNameFault(name: string): string | null {
  if (!/^[!-9;-~]{1,76}$/.test(name)) return 'is not a header name: 1 to 76 printable ASCII characters without a colon';
  const lower = name.toLowerCase();
  const isReserved = reservedHeaders.has(lower) || reservedFamilies.test(lower);
  return isReserved ? 'is set by Postrider or on the way, and cannot be given' : null;
}

function headerValueFault(name: string, value: string): string | null {
  if (value.trim() === '') return 'must not be empty: leave the header out';
  if (isMessageId(name) && !oneMessageId.test(value)) return 'must be <left@right>';
  if (messageIdHeaders.has(name) && (!messageIds.test(value) || encodedWord.test(value)))
    return 'must be message ids with a space between them: <id@example.com>';
  if (asciiHeaders.has(name) || asciiFamilies.test(name)) {
    if (encodedWord.test(value)) return 'must not be encoded already: give it as it reads';
    if (/[^ -~]/.test(value) && phraseIn(name, value) === null) return 'must be ASCII: it cannot be encoded';
  }
  if (name === 'list-unsubscribe-post' && !oneClick.test(value)) return 'must be List-Unsubscribe=One-Click';
  return name === listUnsubscribe ? wayOutFault(value) : instructionsFault(name, value);
}

function wayOutFault(value: string): string | null {
  if (wayOut.test(value)) return null;
  if (spacedWayOut.test(value)) return 'must not have a space within its link: write %20 there';
  return 'must have a link in angle brackets: <https://…> or <mailto:…>';
}

/** The phrase of `Name <rest>` in a structured header: only that may be encoded. Null when there is none. */
export function phraseIn(name: string, value: string): { readonly phrase: string; readonly rest: string } | null {
  const [, quoted, plain, rest] = (phraseHeaders.has(name.toLowerCase()) && phraseForm.exec(value.trim())) || [];
  if (rest === undefined) return null;
  return { phrase: quoted?.replace(/\\(.)/gu, '$1') ?? plain ?? '', rest };
}

export function isMessageId(name: string): boolean {
  return name.toLowerCase() === 'message-id';
}

const listUnsubscribe = 'list-unsubscribe';

export function hasListUnsubscribe(headers: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(headers).some((name) => name.toLowerCase() === listUnsubscribe);
}

/** The headers without an unsubscribe link that is worse than ours: ours replaces it. */
export function withoutPoorWayOut(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const isPoor = ([name, value]: [string, string]) => name.toLowerCase() === listUnsubscribe && !goodWayOut.test(value);
  const all = Object.entries(headers);
  return all.some(isPoor) ? Object.fromEntries(all.filter((one) => !isPoor(one))) : headers;
}
