/** The envelope of one transaction as commands (RFC 5321 section 4.1.1), with the delivery status notifications it asks for (RFC 3461). */
import type { Dsn } from '../domain/dsn.ts';
import type { Message } from './transport.ts';

/** Lines without their ends. */
export type EnvelopeCommands = { readonly mail: string; readonly rcpt: readonly string[] };

/** RFC 3461 section 4.2 */
const maxOriginalRecipientLength = 500;

/**
 * It never has `BODY=8BITMIME`: every body we compose is 7bit, and SMTPUTF8 already covers UTF-8 in a header (RFC 6531 section 3.6).
 * @param isUtf8 whether an address or the header is beyond ASCII
 */
export function envelopeOf(message: Message, extensions: Extensions, isUtf8: boolean): EnvelopeCommands {
  const { from, to } = message.envelope;
  const dsn = extensions.dsn ? (message.dsn ?? null) : null;
  const size = extensions.maxBytes === null ? '' : ` SIZE=${message.raw.length}`;
  const utf8 = isUtf8 ? ' SMTPUTF8' : '';
  const ret = dsn === null ? '' : ` RET=${dsn.return === 'full' ? 'FULL' : 'HDRS'} ENVID=${xtext(message.emailId)}`;
  const mail = `MAIL FROM:<${from}>${utf8}${size}${ret}`;
  return {
    mail,
    rcpt: to.map((address) => `RCPT TO:<${address}>${dsn === null ? '' : notificationsOf(dsn, address)}`),
  };
}

function notificationsOf({ notify }: Dsn, address: string): string {
  const orcpt = originalRecipient(address);
  const when = notify === 'never' ? 'NEVER' : notify.join(',').toUpperCase();
  return ` NOTIFY=${when}${orcpt === null ? '' : ` ORCPT=${orcpt}`}`;
}

/**
 * The original recipient with its address type; null when it would be too long. An address beyond ASCII has another type (RFC 6533 section 3),
 * whose form xtext does not change.
 */
function originalRecipient(address: string): string | null {
  const isAscii = /^[\x20-\x7e]*$/.test(address);
  const written = isAscii
    ? `rfc822;${xtext(address)}`
    : `utf-8;${xtext(address.replace(/[^!-*,-<>-[\]-~]/gu, toCodePoint))}`;
  return written.length > maxOriginalRecipientLength ? null : written;
}

/** RFC 3461 section 4. @param text ASCII only */
function xtext(text: string): string {
  return text.replace(
    /[^!-*,-<>-~]/g,
    (character) => `+${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

function toCodePoint(character: string): string {
  return `\\x{${character.codePointAt(0)?.toString(16).toUpperCase().padStart(2, '0')}}`;
}

/** The extensions of a server that change how a message is sent. */
export type Extensions = {
  readonly utf8: boolean;
  readonly dsn: boolean;
  /** Commands may be sent before the reply to the previous one has come (RFC 2920). */
  readonly pipelining: boolean;
  /** The largest message it takes (RFC 1870); 0 when it declares sizes without a limit, null when it does not. */
  readonly maxBytes: number | null;
};

/** @param reply the server's answer to EHLO; the first line is its name, which may look like anything */
export function extensionsOf(reply: string): Extensions {
  const [, ...lines] = reply.split(/\r?\n/);
  const offer = (pattern: RegExp) => lines.map((line) => pattern.exec(line)).find((found) => found !== null);
  const size = offer(/^250[ -]SIZE(?:[ \t]+(\d+))?\s*$/i);
  return {
    utf8: offer(/^250[ -]SMTPUTF8\s*$/i) !== undefined,
    dsn: offer(/^250[ -]DSN\s*$/i) !== undefined,
    pipelining: offer(/^250[ -]PIPELINING\s*$/i) !== undefined,
    maxBytes: size === undefined ? null : Number(size[1] ?? 0),
  };
}
