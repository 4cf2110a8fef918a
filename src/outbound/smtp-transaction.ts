/**
 * One message over an open connection: the envelope in one write, the claim, the body in one write, and what came of it (RFC 5321, RFC 2920).
 * The envelope of the next message may leave in one write with the body (RFC 2920 section 3.1).
 */
import { classify, parseReply } from '../domain/classify.ts';
import type { AttemptTrace, Obstacle, Outcome, Withheld } from '../domain/outcome.ts';
import { isGoodbye, isPositive } from './reply-kinds.ts';
import { ClaimFailed, converse, type Progress, unexpected } from './smtp-conversation.ts';
import { type Extensions, envelopeOf } from './smtp-envelope.ts';
import { needsUtf8, notRelayed, obstacleTo } from './smtp-obstacle.ts';
import { answeredBy, outcomeOfEnd, type SmtpError } from './smtp-outcome.ts';
import type { SmtpTalk } from './smtp-talk.ts';
import type { Message } from './transport.ts';

export type NextHop = {
  readonly transport: string;
  /** `host:port`. */
  readonly host: string;
  /** TLS version, null for plaintext. */
  readonly tls: string | null;
  /** What opening the connection took, login included. */
  readonly connectMs: number;
  readonly extensions: Extensions;
  readonly patience: Patience;
};

/** Milliseconds that a reply may take. */
export type Patience = {
  /** Of each command before the body: nothing was handed over, and another transport may be there. */
  readonly envelope: number;
  /** Of the body, from when the last of it is written. */
  readonly body: number;
  /** Of RSET, of which nothing hangs but whether the connection is used again. */
  readonly reset: number;
};

/** How a message stands to its connection, and to those before and after it. */
export type Spell = {
  /** Asked right before the first byte of the body leaves. */
  claim(): Promise<boolean>;
  /** Asked as the body leaves: whether the next message gives its envelope along, before this turn of the event loop ends. */
  follow(): boolean;
  /** Whether the connection was opened for it. */
  readonly isFirst: boolean;
  /** The message with whose body its envelope leaves; null for none. */
  readonly before: { readonly answeredAt: number } | null;
};

/** The connection ended or fell out of step before anything was surely said against it: it may go over another at once. */
export type PassedOver = {
  readonly kind: 'passed_over';
  /** It may be the envelope behind a body that its server did not take. */
  readonly isOutOfStep: boolean;
};

/**
 * @returns passed over only when another went over the connection before it
 * @throws only what `claim` throws
 */
export async function transact(
  talk: SmtpTalk,
  nextHop: NextHop,
  message: Message,
  spell: Spell,
): Promise<Outcome | PassedOver> {
  const { transport, extensions } = nextHop;
  const { to } = message.envelope;
  if ([message.envelope.from, ...to].some((address) => /[\r\n<>]/.test(address)))
    return { kind: 'undeliverable', transport, detail: 'it has an address that no envelope can hold' };
  const isUtf8 = needsUtf8(message);
  const obstacle = obstacleTo(message, extensions, isUtf8);
  if (obstacle !== null) return { kind: 'obstacle', transport, ...obstacle };
  const startedAt = performance.now();
  const progress: Progress = { toMail: null, refused: [], stage: 'mail', isClaimed: false, begunAt: null };
  let outcome: Exclude<Outcome, Withheld | Obstacle>;
  try {
    const end = await converse(talk, nextHop, envelopeOf(message, extensions, isUtf8), message, spell, progress);
    if (end === null) {
      // The server waits for a body, and there is no way back but this.
      talk.close();
      return { kind: 'withheld' };
    }
    if (isGoodbye(end)) talk.close();
    if (!spell.isFirst && progress.begunAt === null && isUsedUp(end)) {
      talk.close();
      return { kind: 'passed_over', isOutOfStep: false };
    }
    outcome = answeredBy(transport, to, end, progress);
  } catch (error) {
    talk.close();
    if (error instanceof ClaimFailed) throw error.cause;
    if (spell.before !== null && isUnheard(progress, error as SmtpError))
      return { kind: 'passed_over', isOutOfStep: !isGoodbye(progress.toMail ?? '') };
    outcome =
      refusedBefore(transport, to, progress, error as SmtpError) ??
      outcomeOfEnd(transport, progress, error as SmtpError);
  }
  if (!talk.isOver && progress.begunAt === null) {
    const odd = await reset(talk, nextHop.patience.reset);
    if (odd !== null && spell.before !== null) return { kind: 'passed_over', isOutOfStep: true };
    // What was read may have been the answer to something else: it says nothing of anybody.
    if (odd !== null) outcome = outcomeOfEnd(transport, progress, unexpected(odd));
  }
  const trace = traceOf(nextHop, spell, startedAt, progress.begunAt);
  return { ...(progress.begunAt === null ? notRelayed(outcome) : outcome), trace };
}

/**
 * What was refused stays refused when the connection ends after it, as servers end it who have enough of us. Nobody else had an answer: they
 * come again. Null where nobody was, or where the replies were out of step.
 */
function refusedBefore(transport: string, to: readonly string[], progress: Progress, { code }: SmtpError) {
  const { toMail, refused, begunAt } = progress;
  if (begunAt !== null || code === 'EPROTOCOL') return null;
  if (toMail !== null && !isPositive(toMail)) return answeredBy(transport, to, toMail, { refused: [], stage: 'mail' });
  return refused.length === 0 ? null : answeredBy(transport, [], '', { refused, stage: 'data' });
}

/** Nothing was said against it, or nothing that is surely of it. What is claimed is not asked for again. */
function isUnheard({ toMail, refused, isClaimed }: Progress, { code }: SmtpError): boolean {
  if (isClaimed) return false;
  return code === 'EPROTOCOL' || ((toMail === null || isPositive(toMail)) && refused.length === 0);
}

/** The server takes no more messages over this connection. One that says so of the first message would say it of a new connection too. */
function isUsedUp(reply: string): boolean {
  return classify(parseReply(reply)).category === 'connection_used_up';
}

/** How it went, in whole milliseconds; the connection belongs to the first message that it carried. */
function traceOf(nextHop: NextHop, spell: Spell, startedAt: number, begunAt: number | null): AttemptTrace {
  const { host, tls, connectMs } = nextHop;
  const { isFirst, before } = spell;
  const now = performance.now();
  return {
    host,
    tls,
    ms: {
      connect: isFirst ? connectMs : null,
      envelope: Math.round((begunAt ?? now) - Math.max(startedAt, before?.answeredAt ?? 0)),
      body: begunAt === null ? null : Math.round(now - begunAt),
    },
  };
}

/**
 * A refused transaction stays open at the server until RSET; a connection that will not take it is of no more use. With one reply too many
 * before it, what comes is not its own.
 * @returns what shows that the replies were out of step; null when they were not, as far as can be told
 */
async function reset(talk: SmtpTalk, withinMs: number): Promise<string | null> {
  const before = await talk.news().catch(() => null);
  if (before !== null) {
    talk.close();
    return isGoodbye(before) ? null : before;
  }
  talk.write('RSET\r\n');
  const reply = await talk.reply(withinMs).catch(() => null);
  const isInStep = reply === null || isPositive(reply) || isGoodbye(reply);
  const after = isInStep ? await talk.news().catch(() => null) : reply;
  if (after !== null || reply === null || !isPositive(reply)) talk.close();
  return after !== null && isGoodbye(after) ? null : after;
}
