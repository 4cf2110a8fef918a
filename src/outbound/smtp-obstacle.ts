/** Finds out from the extensions of a server that it cannot take a message (RFC 1870, RFC 6531). */
import { isAscii } from 'node:buffer';
import type { Obstacle } from '../domain/outcome.ts';
import type { Extensions } from './smtp-envelope.ts';
import type { Message } from './transport.ts';

/** Why this server cannot take the message, and for which recipients; null when it can. */
export function obstacleTo(
  message: Message,
  { utf8, maxBytes }: Extensions,
  isUtf8: boolean,
): Pick<Obstacle, 'detail' | 'recipients'> | null {
  const { from, to } = message.envelope;
  const bytes = message.raw.length;
  if (maxBytes !== null && maxBytes > 0 && bytes > maxBytes)
    return { detail: `it has ${bytes} bytes, and the server takes at most ${maxBytes} (SIZE)`, recipients: to };
  // Without SMTPUTF8 the next hop may treat such an address in any way (RFC 6531 section 3.2).
  if (utf8 || !isUtf8) return null;
  const isForAll = isBeyondAscii(from) || !hasPlainHeader(message);
  const detail = 'it has an address beyond ASCII, and the server does not offer SMTPUTF8';
  return { detail, recipients: isForAll ? to : to.filter(isBeyondAscii) };
}

/** Whether an address of the envelope or the header is beyond ASCII; everything else is encoded. */
export function needsUtf8(message: Message): boolean {
  const { from, to } = message.envelope;
  return !hasPlainHeader(message) || [from, ...to].some(isBeyondAscii);
}

function hasPlainHeader({ raw }: Message): boolean {
  // Nearly always the whole message is ASCII, which is quick to check.
  return isAscii(raw) || isAscii(raw.subarray(0, raw.indexOf('\r\n\r\n')));
}

const isBeyondAscii = (address: string) => /[^\p{ASCII}]/u.test(address);
