/** Writes header lines (RFC 5322 section 2.2, RFC 2047): plain ASCII directly, and encoded text through the library. */
import { encodeWord, foldLines } from 'nodemailer/lib/mime-funcs';
import MimeNode from 'nodemailer/lib/mime-node';
import { encodedWord, type Mailbox } from '../domain/address.ts';
import { phraseIn } from '../domain/email-headers.ts';

/** RFC 5322 section 2.1.1 wants at most 78 octets; the library folds at 76. */
const maxLine = 76;

/** One text header, encoded so that every receiver shows exactly this value; '' when the value is blank. */
export function textHeader(name: string, value: string): string {
  const trimmed = value.trim();
  if (trimmed === '') return '';
  return headerLine(name, isPlain(trimmed) ? trimmed : encoded(name, trimmed));
}

function encoded(name: string, value: string): string {
  const structured = phraseIn(name, value);
  if (structured === null) return MimeNode.encodeHeaderValue(name, literal(value));
  return `${encodeWord(structured.phrase, 'Q', maxEncodedWord)} <${structured.rest}>`;
}

/** One header of mailboxes; '' when there are none. */
export function mailboxHeader(name: string, mailboxes: readonly Mailbox[]): string {
  return mailboxes.length === 0 ? '' : headerLine(name, mailboxes.map(encodeMailbox).join(', '));
}

/** @param at milliseconds */
export function dateHeader(at: number): string {
  const second = Math.floor(at / 1_000);
  if (second !== lastDate.second)
    lastDate = { second, line: headerLine('Date', new Date(at).toUTCString().replace('GMT', '+0000')) };
  return lastDate.line;
}

/** Many emails in a row have the same Date, for instance all emails of a campaign. */
let lastDate = { second: Number.NaN, line: '' };

/**
 * A header with its value unchanged, folded at spaces when it is long.
 * @throws when the name or the value would break out of this header, which validation should have prevented
 */
export function headerLine(name: string, value: string): string {
  const line = `${name}: ${value}`;
  if (!headerName.test(name) || breaksLine.test(value)) throw new Error(`not a header: ${JSON.stringify(line)}`);
  return `${line.length > maxLine ? foldLines(line, maxLine) : line}\r\n`;
}

const headerName = /^[!-9;-~]+$/;
const breaksLine = /[\r\n\0]/;

/** Printable ASCII without anything that a receiver might take for an encoded word. */
function isPlain(text: string): boolean {
  return /^[ -~]*$/.test(text) && !text.includes('=?');
}

/** The library does not encode text that looks like an encoded word: a receiver would decode it. So it is encoded here. */
function literal(text: string): string {
  return encodedWord.test(text) ? encodeWord(text, 'Q', maxEncodedWord) : text;
}

/** Octets of one encoded word; RFC 2047 section 2 allows 75. */
const maxEncodedWord = 52;

/** RFC 5322 section 3.4. The library encodes names beyond ASCII, and addresses other than a dot-atom at a domain of lower-case A-labels. */
function encodeMailbox({ address, name = '' }: Mailbox): string {
  if (!plainAddress.test(address) || !isPlain(name)) return MimeNode.encodeHeaderValue('To', [{ address, name }]);
  if (name === '') return address;
  return `${plainName.test(name) ? name : `"${name.replace(/["\\]/g, '\\$&')}"`} <${address}>`;
}

const plainAddress = /^[\w!#$%&'*+\-/=?^`{|}~]+(?:\.[\w!#$%&'*+\-/=?^`{|}~]+)*@[a-z0-9.-]+$/;
const plainName = /^[\w ]+$/;
