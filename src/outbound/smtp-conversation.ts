/**
 * The commands of one transaction (RFC 5321 section 3.3): MAIL, each RCPT, DATA, and the body once it is claimed. With PIPELINING the envelope
 * leaves in one write (RFC 2920).
 */
import { parseReply } from '../domain/classify.ts';
import type { RecipientReply, SharedStage } from '../domain/outcome.ts';
import { dotStuffed } from './dot-stuffing.ts';
import { isGoodbye, isIntermediate, isPositive, isVerdict } from './reply-kinds.ts';
import type { EnvelopeCommands } from './smtp-envelope.ts';
import type { SmtpError } from './smtp-outcome.ts';
import { type SmtpTalk, smtpError } from './smtp-talk.ts';
import type { MessageContext, NextHop } from './smtp-transaction.ts';
import type { Message } from './transport.ts';

/** How far a transaction had come when it ended. */
export type Progress = {
  /** The reply to MAIL; null before it. */
  toMail: string | null;
  /** Recipients that had a refusal of their own. */
  readonly refused: RecipientReply[];
  /** The stage that the reply for all other recipients answers. */
  stage: SharedStage;
  /** Whether the hand-over is stored. */
  isClaimed: boolean;
  /** When the body began to leave (by `now` of the next hop); null before. */
  begunAt: number | null;
  /** Whether the envelope of the next message left with the body. */
  isFollowed: boolean;
};

/** What is said to a server to send one message, and how far that came. */
type Transaction = {
  readonly talk: SmtpTalk;
  readonly nextHop: NextHop;
  readonly commands: EnvelopeCommands;
  readonly message: Message;
  readonly context: MessageContext;
  readonly progress: Progress;
};

/** How long a server may take for the first reply to an envelope that came with a body. Some servers drop such an envelope. */
const earlyEnvelopeReplyMs = 5_000;
/** A larger body takes long, and no other message should wait behind it. */
const followableBytes = 256 * 1_024;

export class ClaimFailed extends Error {}

/** Sends a command, unless it was pipelined already, and waits for its reply. */
type Ask = (command: string, withinMs?: number) => Promise<string>;

/**
 * @returns the reply for every recipient without a reply of its own; null when the claim was refused
 * @throws SmtpError when the connection ends, ClaimFailed
 */
export async function converse(transaction: Transaction): Promise<string | null> {
  const { talk, nextHop, progress } = transaction;
  const { mail, rcpt } = transaction.commands;
  const { pipelining } = nextHop.extensions;
  const ask = askOver(talk, nextHop);
  if (pipelining) talk.write(`${[mail, ...rcpt, 'DATA'].join('\r\n')}\r\n`);
  const toMail = await askMail(ask, transaction);
  if (!isPositive(toMail) && (!pipelining || isGoodbye(toMail))) return toMail;
  const end = await askEach(ask, toMail, transaction);
  if (end !== null) {
    talk.close();
    return end;
  }
  const isAnybodyLeft = isPositive(toMail) && progress.refused.length < rcpt.length;
  if (!isAnybodyLeft && !pipelining) return refusalOf(toMail, progress);
  const dataReply = await ask('DATA');
  if (!isAnybodyLeft) {
    if (isIntermediate(dataReply)) await sendEmptyBody(talk, toMail, nextHop);
    return refusalOf(toMail, progress);
  }
  // A 250 here answers another command. Taken as the answer to DATA, it would make the next reply count as the answer to the body.
  if (isPositive(dataReply)) throw unexpected(dataReply);
  if (!isIntermediate(dataReply)) return dataReply;
  return await handOver(transaction);
}

function askOver(talk: SmtpTalk, { extensions: { pipelining }, patience }: NextHop): Ask {
  return async (command, withinMs = patience.envelope) => {
    if (!pipelining) {
      await expectNothing(talk);
      talk.write(`${command}\r\n`);
    }
    const reply = await talk.reply(withinMs);
    // Only DATA may be answered with 3xx.
    if (command !== 'DATA' && !isVerdict(reply)) throw unexpected(reply);
    return reply;
  };
}

async function askMail(ask: Ask, { commands, nextHop, context, progress }: Transaction): Promise<string> {
  const { envelope } = nextHop.patience;
  const { before } = context;
  const toMail = await ask(commands.mail, before === null ? envelope : Math.min(envelope, earlyEnvelopeReplyMs));
  progress.toMail = toMail;
  // The refusal may be about the early envelope. If it is about the message, the server refuses it again when it is sent alone.
  if (before !== null && !isPositive(toMail)) throw unexpected(toMail);
  if (isPositive(toMail)) progress.stage = 'data';
  return toMail;
}

/** @returns the reply that ended the transaction for all recipients; null when DATA is next */
async function askEach(
  ask: Ask,
  toMail: string,
  { commands, message, progress: { refused } }: Transaction,
): Promise<string | null> {
  const { to } = message.envelope;
  for (const [index, command] of commands.rcpt.entries()) {
    const reply = await ask(command);
    // A 421 ends the transaction, also for recipients that were accepted before.
    if (reply.startsWith('421')) return isPositive(toMail) ? reply : toMail;
    if (isPositive(toMail) && !isPositive(reply)) refused.push({ address: to[index] ?? '', smtp: parseReply(reply) });
    // A 521 is permanent for this recipient, but says nothing about the others.
    if (isGoodbye(reply)) throw goodbye(reply);
  }
  return null;
}

/** RFC 2920 section 3.1: a server may ask for data without a valid recipient, and gets an empty one. If it refused MAIL, we close instead. */
async function sendEmptyBody(talk: SmtpTalk, toMail: string, { patience }: NextHop): Promise<void> {
  if (!isPositive(toMail)) return talk.close();
  talk.write('.\r\n');
  await talk.reply(patience.envelope);
}

/** Claims the hand-over once the server waits for the body, which then leaves in one write. */
async function handOver({ talk, nextHop, message, context, progress }: Transaction): Promise<string | null> {
  const { raw } = message;
  const isOurs = await context.claim().catch((error: unknown) => {
    throw new ClaimFailed('The claim failed', { cause: error });
  });
  if (!isOurs) return null;
  progress.isClaimed = true;
  await expectNothing(talk);
  progress.begunAt = nextHop.now();
  progress.isFollowed = raw.length <= followableBytes && context.follow();
  if (progress.isFollowed) talk.gather();
  talk.write(dotStuffed(raw));
  const answer = await talk.reply(nextHop.patience.body);
  // A server that answers neither yes nor no may have taken the message.
  if (!isVerdict(answer)) throw smtpError('EPROTOCOL', `Neither taken nor refused: ${answer}`);
  return answer;
}

/** When no recipient is left: the refusal of the sender, or of the last recipient. */
function refusalOf(toMail: string, { refused }: Progress): string {
  return isPositive(toMail) ? (refused.at(-1)?.smtp.reply ?? '') : toMail;
}

/** @throws SmtpError after an unsolicited reply: from then on no reply surely belongs to its command */
async function expectNothing(talk: SmtpTalk): Promise<void> {
  const unsolicited = await talk.unsolicitedReply();
  if (unsolicited !== null) throw isGoodbye(unsolicited) ? goodbye(unsolicited) : unexpected(unsolicited);
}

function goodbye(reply: string): SmtpError {
  return smtpError('ECONNECTION', `The server closes: ${reply}`);
}

export function unexpected(reply: string): SmtpError {
  return smtpError('EPROTOCOL', `Unexpected reply: ${reply}`);
}
