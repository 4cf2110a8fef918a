/** What keeps a server from taking a message: known from what it offers (RFC 1870, RFC 6531), or that it relays it to nobody. */
import { isAscii } from 'node:buffer';
import { classify } from '../domain/classify.ts';
import type { Obstacle, Outcome } from '../domain/outcome.ts';
import type { Extensions } from './smtp-envelope.ts';
import type { Message, Outline } from './transport.ts';

type Bar = Pick<Obstacle, 'detail' | 'recipients'>;

/** Why this server cannot take the message, and for which recipients; null when it can. */
export function obstacleTo(message: Message, offered: Extensions, isUtf8: boolean): Bar | null {
  const { from, to } = message.envelope;
  const { length } = message.raw;
  if (isTooLarge(length, offered)) return tooLarge(`${length}`, offered, to);
  if (offered.utf8 || !isUtf8) return null;
  return beyondAscii(isBeyondAscii(from) || !hasPlainHeader(message) ? to : to.filter(isBeyondAscii));
}

/** The same, as far as it is known before the message is made. Asked for every email, it makes nothing for the usual one. */
export function foreseen({ email: { facts, state }, to, leastBytes }: Outline, offered: Extensions): Bar | null {
  if (isTooLarge(leastBytes, offered)) return tooLarge(`at least ${leastBytes}`, offered, to);
  if (offered.utf8) return null;
  const isForAll =
    isBeyondAscii(facts.from.address) ||
    facts.replyTo.some(({ address }) => isBeyondAscii(address)) ||
    state.recipients.some(({ kind, address }) => kind !== 'bcc' && isBeyondAscii(address));
  if (!isForAll && !to.some(isBeyondAscii)) return null;
  return beyondAscii(isForAll ? to : to.filter(isBeyondAscii));
}

function isTooLarge(bytes: number, { maxBytes }: Extensions): boolean {
  return maxBytes !== null && maxBytes > 0 && bytes > maxBytes;
}

function tooLarge(bytes: string, { maxBytes }: Extensions, recipients: readonly string[]): Bar {
  return { detail: `it has ${bytes} bytes, and the server takes at most ${maxBytes} (SIZE)`, recipients };
}

/** Without SMTPUTF8 the next hop may treat such an address in any way (RFC 6531 section 3.2). All recipients get the same header. */
function beyondAscii(recipients: readonly string[]): Bar {
  return { detail: 'it has an address beyond ASCII, and the server does not offer SMTPUTF8', recipients };
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

/**
 * An obstacle where every reply says that the server does not relay: it does for others, as one that takes mail for some domains alone, and
 * another of the route may for these.
 * @param outcome of a message that was not handed over
 */
export function notRelayed<T extends Outcome>(outcome: T): T | Obstacle {
  if (outcome.kind !== 'answered') return outcome;
  const { transport, replies } = outcome;
  const isRefused = replies.every(({ smtp }) => {
    const { action, category } = classify(smtp);
    return action === 'fail' && category === 'relay_denied';
  });
  const [first] = replies;
  if (first === undefined || !isRefused) return outcome;
  const detail = `the server does not relay it (${first.smtp.reply})`;
  return { kind: 'obstacle', transport, detail, recipients: replies.map(({ address }) => address) };
}
