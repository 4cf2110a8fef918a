/** Reply classification: the first row that matches a reply decides what is done, and the wait that the reply names is read. */
import type { SmtpReply } from './recipient.ts';
import type { ReplyAction, ReplyCategory, ReplyRow } from './reply-row.ts';
import { replyRows } from './reply-rows.ts';
import { waitHint } from './wait-hint.ts';

export type Classification = {
  readonly row: ReplyRow;
  readonly action: ReplyAction;
  readonly category: ReplyCategory;
  readonly suppress: boolean;
  /** The wait that the reply names, milliseconds, when the message is to be tried again; null when it names none. */
  readonly waitMs: number | null;
};

/** The reply code comes first: libraries label a 450 and a 550 alike. */
export function classify(smtp: SmtpReply): Classification {
  let read: string | undefined;
  const words = () => {
    read ??= wordsOf(smtp.reply);
    return read;
  };
  const row = replyRows.find((candidate) => fits(candidate, smtp, words)) ?? lastRow;
  const { action, category } = row;
  const suppress = row.suppress && !(isOfPolicy.test(smtp.enhanced ?? '') && row.enhanced === undefined);
  const isTriedAgain = action === 'retry' || action === 'slow_down';
  return { row, action, category, suppress, waitMs: isTriedAgain ? waitHint(words()) : null };
}

/** Whether a reply says that we are not logged in as we should be: what the account may send, or whether it was stopped, is another matter. */
export function isLoginRefusal(smtp: SmtpReply): boolean {
  const { action, category } = classify(smtp);
  return action === 'stop_transport' && category !== 'rate_limited' && category !== 'sender_refused';
}

/** Security or policy (RFC 3463 section 3.8): then words alone do not prove that an address is gone. */
const isOfPolicy = /^\d\.7\./;

function fits({ code, enhanced, text }: ReplyRow, smtp: SmtpReply, words: () => string): boolean {
  if (!isOfCode(code, smtp.code)) return false;
  if (enhanced !== undefined && !enhanced.test(smtp.enhanced ?? '')) return false;
  return text === undefined || text.test(words());
}

function isOfCode(code: ReplyRow['code'], given: number): boolean {
  if (typeof code !== 'string') return code.includes(given);
  return code === 'any' || Math.floor(given / 100) === Number(code[0]);
}

/**
 * The words of a reply, without codes at the start of lines, line ends and addresses: a name in an address may be anything
 * ("full.mailbox@spamcop.example").
 */
export function wordsOf(reply: string): string {
  return `\n${reply}`
    .replaceAll(/\r?\n(?:\d{3}(?:[ -]|$))?(?:#?[245]\.\d{1,3}\.\d{1,3}(?=[\s:;,]|$))?/g, ' ')
    .replaceAll(/[^\s<>"@():,;[\]]{1,64}@[^\s<>"@():,;[\]]{1,255}/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/**
 * Reads `250 2.0.0 Ok` (RFC 5321 section 4.2, RFC 3463), and an enhanced code written `#5.1.0` or, as qmail does at the end, `(#5.1.1)`. Lines
 * of a multi-line reply are joined by line feeds. When the first line has no enhanced code, the last line that has one counts.
 */
export function parseReply(text: string): SmtpReply {
  const kept = withOneCode(text).slice(0, maxReplyLength);
  const [, code = '0', atStart = null] = /^(\d{3})[ -]?(?:#?([245]\.\d{1,3}\.\d{1,3})(?=[\s:;,]|$))?/.exec(kept) ?? [];
  const enhanced =
    code === '0' ? null : (atStart ?? ofLaterLine(kept) ?? /\(#([245]\.\d{1,3}\.\d{1,3})\)/.exec(kept)?.[1] ?? null);
  return { code: Number(code), enhanced, reply: kept };
}

function ofLaterLine(reply: string): string | undefined {
  return [...reply.matchAll(/\n\d{3}[ -]#?([245]\.\d{1,3}\.\d{1,3})(?=[\s:;,]|$)/g)].at(-1)?.[1];
}

/** The beginning of a line that has a reply code. */
const coded = /^\d{3}(?=[ -]|$)/;

/**
 * All lines of a reply should have the same code. When they differ, the last one counts, and lines before it with another code are dropped (RFC
 * 5321 section 4.2.1).
 */
export function withOneCode(reply: string): string {
  if (!reply.includes('\n')) return reply;
  const lines = reply.split('\n');
  const code = lines.findLast((line) => coded.test(line))?.slice(0, 3) ?? '';
  return lines.filter((line) => !coded.test(line) || line.startsWith(code)).join('\n');
}

/** Characters of a reply that are kept: enough for every reply seen in the field, and a limit on what a hostile hop can store. */
const maxReplyLength = 1_024;

const lastRow = replyRows.at(-1) as ReplyRow;
