/**
 * Sends one message over an open connection: the envelope in one write, the claim, the body in one write (RFC 5321, RFC 2920).
 * The envelope of the next message may leave in one write with the body (RFC 2920 section 3.1).
 */
import { classify, parseReply } from '../domain/classify.ts';
import type { AttemptTrace, Obstacle, Outcome, Withheld } from '../domain/outcome.ts';
import { isGoodbye, isPositive } from './reply-kinds.ts';
import { ClaimFailed, converse, type Progress, unexpected } from './smtp-conversation.ts';
import { type Extensions, envelopeOf } from './smtp-envelope.ts';
import { needsUtf8, notRelayed, obstacleTo } from './smtp-obstacle.ts';
import { answeredBy, outcomeOfEnd, type SmtpError } from './smtp-outcome.ts';
import { CutOff, type SmtpTalk } from './smtp-talk.ts';
import type { Message } from './transport.ts';

export type NextHop = {
  readonly transport: string;
  /** `host:port`. */
  readonly host: string;
  /** TLS version, null for plaintext. */
  readonly tls: string | null;
  /** Milliseconds that opening the connection took, login included. */
  readonly connectMs: number;
  readonly extensions: Extensions;
  readonly patience: Patience;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

/** How long a reply may take, in milliseconds. */
export type Patience = {
  /** The reply to each command before the body: nothing is handed over yet, and another transport may be available. */
  readonly envelope: number;
  /** The reply to the body, from when it was written. */
  readonly body: number;
  /** The reply to RSET, which only decides whether the connection is used again. */
  readonly reset: number;
};

/** The relation of a message to its connection and to the messages before and after it. */
export type MessageContext = {
  /** Called right before the first byte of the body leaves. */
  claim(): Promise<boolean>;
  /** Called as the body leaves: whether the next message sends its envelope along, in the same turn of the event loop. */
  follow(): boolean;
  /** Whether it is the first message of its connection. */
  readonly isFirst: boolean;
  /** The message whose body leaves together with this envelope; null for none. */
  readonly before: { readonly answeredAt: number } | null;
};

/** The connection ended or fell out of step before the server surely refused the message: it may use another connection at once. */
export type PassedOver = {
  readonly kind: 'passed_over';
  /** The cause may be that the server does not accept an envelope sent along with a body. */
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
  context: MessageContext,
): Promise<Outcome | PassedOver> {
  const { transport, extensions } = nextHop;
  const { to } = message.envelope;
  if ([message.envelope.from, ...to].some((address) => /[\r\n<>]/.test(address)))
    return { kind: 'undeliverable', transport, detail: 'it has an address that no envelope can hold' };
  const isUtf8 = needsUtf8(message);
  const obstacle = obstacleTo(message, extensions, isUtf8);
  if (obstacle !== null) return { kind: 'obstacle', transport, ...obstacle };
  const startedAt = nextHop.now();
  const progress: Progress = {
    toMail: null,
    refused: [],
    stage: 'mail',
    isClaimed: false,
    begunAt: null,
    isFollowed: false,
  };
  let mayBeOpen = false;
  let outcome: Exclude<Outcome, Withheld | Obstacle>;
  try {
    const commands = envelopeOf(message, extensions, isUtf8);
    const end = await converse({ talk, nextHop, commands, message, context, progress });
    if (end === null) {
      // The server waits for a body: only closing ends the transaction without one.
      talk.close();
      return { kind: 'withheld' };
    }
    if (isGoodbye(end)) talk.close();
    if (!context.isFirst && progress.begunAt === null && isUsedUp(end)) {
      talk.close();
      return { kind: 'passed_over', isOutOfStep: false };
    }
    // Postfix keeps a transaction open whose body it refused by its `smtpd_end_of_data_restrictions`.
    mayBeOpen = !isPositive(end) && !progress.isFollowed;
    outcome = answeredBy(transport, to, end, progress);
  } catch (error) {
    talk.close();
    if (error instanceof ClaimFailed) throw error.cause;
    if (context.before !== null && isUnheard(progress, error as SmtpError))
      return { kind: 'passed_over', isOutOfStep: !isGoodbye(progress.toMail ?? '') };
    const refused = refusedBefore(transport, to, progress, error as SmtpError);
    if (refused === null && error instanceof CutOff && !progress.isClaimed) return { kind: 'withheld' };
    outcome = refused ?? outcomeOfEnd(transport, progress, error as SmtpError);
  }
  const trace = traceOf(nextHop, context, startedAt, progress.begunAt);
  const odd = mayBeOpen && !talk.isOver ? await reset(talk, nextHop.patience.reset) : null;
  if (odd !== null && progress.begunAt === null) {
    if (context.before !== null) return { kind: 'passed_over', isOutOfStep: true };
    // The replies may have belonged to other commands, so they say nothing about the recipients.
    outcome = outcomeOfEnd(transport, progress, unexpected(odd));
  }
  return { ...(progress.begunAt === null ? notRelayed(outcome) : outcome), trace };
}

/**
 * A refusal counts although the connection ended after it: some servers close after a refusal. Recipients without an answer come again.
 * Null when no recipient was refused, or when the replies were out of step.
 */
function refusedBefore(transport: string, to: readonly string[], progress: Progress, { code }: SmtpError) {
  const { toMail, refused, begunAt } = progress;
  if (begunAt !== null || code === 'EPROTOCOL') return null;
  if (toMail !== null && !isPositive(toMail)) return answeredBy(transport, to, toMail, { refused: [], stage: 'mail' });
  return refused.length === 0 ? null : answeredBy(transport, [], '', { refused, stage: 'data' });
}

/** Whether the server surely refused nothing of this message. A claimed message must not be sent again here. */
function isUnheard({ toMail, refused, isClaimed }: Progress, { code }: SmtpError): boolean {
  if (isClaimed) return false;
  return code === 'EPROTOCOL' || ((toMail === null || isPositive(toMail)) && refused.length === 0);
}

/** The server takes no more messages over this connection. One that says so of the first message would say it of a new connection too. */
function isUsedUp(reply: string): boolean {
  return classify(parseReply(reply)).category === 'connection_used_up';
}

/** The server closes after it. */
const isLast = (reply: string) => isGoodbye(reply) || isUsedUp(reply);

/** How it went, in whole milliseconds; the connection belongs to the first message that it carried. */
function traceOf(nextHop: NextHop, context: MessageContext, startedAt: number, begunAt: number | null): AttemptTrace {
  const { host, tls, connectMs } = nextHop;
  const { isFirst, before } = context;
  const now = nextHop.now();
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
 * A refused transaction stays open at the server until RSET. A connection whose server refuses RSET is closed. After one reply too many, the
 * next reply would not be the one to RSET.
 * @returns the reply that shows that replies were out of step; null when none did
 */
async function reset(talk: SmtpTalk, withinMs: number): Promise<string | null> {
  const before = await talk.unsolicitedReply().catch(() => null);
  if (before !== null) {
    talk.close();
    return isLast(before) ? null : before;
  }
  talk.write('RSET\r\n');
  const reply = await talk.reply(withinMs).catch(() => null);
  const isInStep = reply === null || isPositive(reply) || isLast(reply);
  const after = isInStep ? await talk.unsolicitedReply().catch(() => null) : reply;
  if (after !== null || reply === null || !isPositive(reply)) talk.close();
  return after !== null && isLast(after) ? null : after;
}
