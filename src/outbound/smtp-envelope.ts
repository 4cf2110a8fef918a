/** The envelope of one transaction as the SMTP library takes it, with the delivery status notifications (RFC 3461) it asks for. */
import type { SMTPConnectionEnvelope, SMTPEnvelope, SMTPEnvelopeDsn } from 'nodemailer/lib/smtp-connection';
import type { Dsn } from '../domain/dsn.ts';
import type { Message } from './transport.ts';

/** The library keeps its books in the object it is given; they are there once it has begun. */
export type Envelope = SMTPEnvelope & Partial<SMTPConnectionEnvelope>;

/** RFC 3461 section 4.2 */
const maxOriginalRecipientLength = 500;

/** There is no `BODY=8BITMIME` in it: every body we compose is 7bit, and UTF-8 in a header is what SMTPUTF8 says (RFC 6531 section 3.6). */
export function envelopeOf(message: Message, { dsn, maxBytes }: Extensions): Envelope {
  const { from, to } = message.envelope;
  // Without a size the library neither declares nor compares one: it takes a host name such as mx-size for the extension.
  const envelope: Envelope = { from, to: [...to], ...(maxBytes === null ? {} : { size: message.raw.length }) };
  if (!message.dsn || !dsn) return envelope;
  return askFor(message.dsn, message.emailId, to, envelope);
}

/**
 * The library gives all recipients of a message one ORCPT, which would be wrong for all but one of them. It takes a recipient off
 * `rcptQueue` and then reads `dsn`, so here `dsn` answers for the one that was just taken. What the library writes back is not kept:
 * the answers are in its form already.
 */
function askFor(dsn: Dsn, emailId: string, to: readonly string[], envelope: Envelope): Envelope {
  const notify = dsn.notify === 'never' ? 'NEVER' : dsn.notify.join(',').toUpperCase();
  const shared = { ret: dsn.return === 'full' ? 'FULL' : 'HDRS', envid: emailId, notify };
  return Object.defineProperty(envelope, 'dsn', {
    get(): SMTPEnvelopeDsn {
      const taken = to.length - (envelope.rcptQueue?.length ?? to.length);
      const recipient = to[taken - 1];
      return { ...shared, orcpt: recipient === undefined ? null : originalRecipient(recipient) };
    },
    set() {},
  });
}

/**
 * The address before xtext encoding, which the library adds; null when it could grow too long.
 * An address with characters beyond ASCII is of another type (RFC 6533 section 3), whose form xtext leaves as it is.
 */
function originalRecipient(address: string): string | null {
  const isAscii = /^[\x20-\x7e]*$/.test(address);
  const written = isAscii ? `rfc822;${address}` : `utf-8;${address.replace(/[^!-*,-<>-[\]-~]/gu, toCodePoint)}`;
  const special = written.match(/[ +=]/g)?.length ?? 0;
  return written.length + 2 * special > maxOriginalRecipientLength ? null : written;
}

function toCodePoint(character: string): string {
  return `\\x{${character.codePointAt(0)?.toString(16).toUpperCase().padStart(2, '0')}}`;
}

/** What a server offers that changes how a message is sent. */
export type Extensions = {
  readonly utf8: boolean;
  readonly dsn: boolean;
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
    maxBytes: size === undefined ? null : Number(size[1] ?? 0),
  };
}
