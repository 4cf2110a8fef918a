/** Reply classification as data: the first row whose pattern fits a reply decides; each row carries its own example. */
import type { SmtpReply } from './recipient.ts';

export type ReplyAction = 'accept' | 'retry' | 'fail';

type Row = {
  readonly name: string;
  readonly matches: (smtp: SmtpReply) => boolean;
  readonly action: ReplyAction;
  readonly example: string;
};

export const replyRows: readonly Row[] = [
  {
    name: 'accepted',
    matches: ({ code }) => code >= 200 && code < 300,
    action: 'accept',
    example: '250 2.0.0 Ok: queued as 4XyZ',
  },
  {
    name: 'bad_sequence',
    matches: ({ code }) => code === 503,
    action: 'retry',
    example: '503 5.5.1 Error: need MAIL command',
  },
  {
    name: 'permanent',
    matches: ({ code }) => code >= 500 && code < 600,
    action: 'fail',
    example: '550 5.1.1 User unknown',
  },
  { name: 'transient', matches: () => true, action: 'retry', example: '450 4.2.0 Greylisted, try again later' },
];

/** Reply code first: libraries label a 450 and a 550 alike. */
export function classify(smtp: SmtpReply): ReplyAction {
  return replyRows.find((row) => row.matches(smtp))?.action ?? 'retry';
}

/** Reads `250 2.0.0 Ok` (RFC 5321 section 4.2, RFC 3463); lines of a multi-line reply are joined by line feeds. */
export function parseReply(text: string): SmtpReply {
  const [, code = '0', enhanced = null] = /^(\d{3})[ -]?(?:([245]\.\d{1,3}\.\d{1,3})(?=\s|$))?/.exec(text) ?? [];
  return { code: Number(code), enhanced, reply: text.slice(0, maxReplyLength) };
}

/** Characters of a reply that are kept: enough for every reply seen in the field, and a bound on what a hostile hop can store. */
const maxReplyLength = 1_024;
