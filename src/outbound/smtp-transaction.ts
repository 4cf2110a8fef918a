/**
 * One message over an open connection: the envelope in one write, the claim, the body in one write, and what came of it (RFC 5321, RFC 2920).
 * The envelope of the next message may leave in one write with the body (RFC 2920 section 3.1).
 */
import { classify, parseReply } from '../domain/classify.ts';
import type { AttemptTrace, Obstacle, Outcome, RecipientReply, SharedStage, Withheld } from '../domain/outcome.ts';
import { toData } from './dot-stuffing.ts';
import { type EnvelopeCommands, type Extensions, envelopeOf } from './smtp-envelope.ts';
import { needsUtf8, notRelayed, obstacleTo } from './smtp-obstacle.ts';
import { answeredBy, outcomeOfEnd, type SmtpError } from './smtp-outcome.ts';
import { type SmtpTalk, smtpError } from './smtp-talk.ts';
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

/** How far a transaction had come when it ended. */
type Progress = {
  /** What was said of the sender; null before. */
  toMail: string | null;
  /** Recipients that had a refusal of their own. */
  readonly refused: RecipientReply[];
  /** What the reply that all others share answers. */
  stage: SharedStage;
  /** Whether its hand-over is written down. */
  isClaimed: boolean;
  /** When the body began to leave (`performance.now()`); null before. */
  begunAt: number | null;
};

/** How long a server may take for the first word to an envelope that came behind a body. Some throw it away. */
const behindMs = 5_000;
/** A body larger than that takes its time, in which nothing should have to wait for it. */
const followableBytes = 256 * 1_024;

class ClaimFailed extends Error {}

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

/**
 * @returns the reply that holds for every recipient that had none of its own; null when the claim was refused
 * @throws SmtpError when the connection ends, ClaimFailed
 */
async function converse(
  talk: SmtpTalk,
  { extensions: { pipelining }, patience }: NextHop,
  { mail, rcpt }: EnvelopeCommands,
  message: Message,
  spell: Spell,
  progress: Progress,
): Promise<string | null> {
  const isBehind = spell.before !== null;
  const ask = async (command: string, withinMs = patience.envelope) => {
    if (!pipelining) {
      await expectNothing(talk);
      talk.write(`${command}\r\n`);
    }
    const reply = await talk.reply(withinMs);
    // Only DATA asks for more.
    if (command !== 'DATA' && !isVerdict(reply)) throw unexpected(reply);
    return reply;
  };
  if (pipelining) talk.write(`${[mail, ...rcpt, 'DATA'].join('\r\n')}\r\n`);
  const toMail = await ask(mail, isBehind ? Math.min(patience.envelope, behindMs) : patience.envelope);
  progress.toMail = toMail;
  // It may be for how it came: asked by itself, the server says so again if it is not.
  if (isBehind && !isPositive(toMail)) throw unexpected(toMail);
  if (!isPositive(toMail) && (!pipelining || isGoodbye(toMail))) return toMail;
  if (isPositive(toMail)) progress.stage = 'data';
  for (const [index, command] of rcpt.entries()) {
    const reply = await ask(command);
    if (reply.startsWith('421')) {
      talk.close();
      // It holds for those as well who were accepted before: nothing comes of the transaction.
      return isPositive(toMail) ? reply : toMail;
    }
    if (isPositive(toMail) && !isPositive(reply))
      progress.refused.push({ address: message.envelope.to[index] ?? '', smtp: parseReply(reply) });
    // For good: who else it is for need not be refused as well.
    if (isGoodbye(reply)) throw goodbye(reply);
  }
  const isAnybodyLeft = isPositive(toMail) && progress.refused.length < rcpt.length;
  if (!isAnybodyLeft && !pipelining) return refusalOf(toMail, progress);
  const toData = await ask('DATA');
  if (!isAnybodyLeft) {
    // RFC 2920 section 3.1: a server may want data for nobody. One that refused the sender is not trusted with none either.
    if (toData.startsWith('3') && !isPositive(toMail)) talk.close();
    else if (toData.startsWith('3')) {
      talk.write('.\r\n');
      await talk.reply(patience.envelope);
    }
    return refusalOf(toMail, progress);
  }
  // A 250 here is the answer to something else: whoever took it for DATA's would take the next for the body's.
  if (isPositive(toData)) throw unexpected(toData);
  if (!isIntermediate(toData)) return toData;
  return await handOver(talk, message.raw, spell, progress, patience.body);
}

/** The claim is asked once the server waits for the body, which then leaves in one write. */
async function handOver(
  talk: SmtpTalk,
  raw: Buffer,
  { claim, follow }: Spell,
  progress: Progress,
  withinMs: number,
): Promise<string | null> {
  const isOurs = await claim().catch((error: unknown) => {
    throw new ClaimFailed('The claim failed', { cause: error });
  });
  if (!isOurs) return null;
  progress.isClaimed = true;
  await expectNothing(talk);
  progress.begunAt = performance.now();
  if (raw.length <= followableBytes && follow()) talk.gather();
  talk.write(toData(raw));
  const answer = await talk.reply(withinMs);
  // Who says neither yes nor no may have taken it.
  if (!isVerdict(answer)) throw smtpError('EPROTOCOL', `Neither taken nor refused: ${answer}`);
  return answer;
}

/** When nobody is left to have the message: why the sender was refused, or the last recipient. */
function refusalOf(toMail: string, { refused }: Progress): string {
  return isPositive(toMail) ? (refused.at(-1)?.smtp.reply ?? '') : toMail;
}

const isPositive = (reply: string) => reply.startsWith('2');
const isIntermediate = (reply: string) => reply.startsWith('3');
/** RFC 5321 section 4.2.1: what ends a command, or may follow the final dot. */
const isVerdict = (reply: string) => /^[245]\d{2}(?!\d)/.test(reply);
/** RFC 5321 section 3.8, RFC 7504 section 4: the server closes, and answers nothing more. */
export const isGoodbye = (reply: string) => /^[45]21/.test(reply);
/** It takes no more messages over this connection: to a new one, which says so at its first, nothing is gained by yet another. */
const isUsedUp = (reply: string) => classify(parseReply(reply)).category === 'connection_used_up';
/** What a server may say of a body because of what came along with it. */
export const isOutOfTurn = (reply: string) => /^503|^5.*(?:pipelining|synchroni[sz]ation)/i.test(reply);

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

/** @throws SmtpError when something was said that nobody asked for: from there on no reply is surely that to what was asked */
async function expectNothing(talk: SmtpTalk): Promise<void> {
  const news = await talk.news();
  if (news !== null) throw isGoodbye(news) ? goodbye(news) : unexpected(news);
}

function goodbye(reply: string): SmtpError {
  return smtpError('ECONNECTION', `The server closes: ${reply}`);
}

function unexpected(reply: string): SmtpError {
  return smtpError('EPROTOCOL', `Unexpected reply: ${reply}`);
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
