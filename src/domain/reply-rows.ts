/** The reply classification: every row in the order in which they are asked; the first that fits decides. */
import type { ReplyRow } from './reply-row.ts';
import { limitRows } from './reply-rows-limits.ts';
import { messageRows } from './reply-rows-message.ts';
import { recipientRows } from './reply-rows-recipient.ts';
import { senderRows } from './reply-rows-sender.ts';
import { sessionRows } from './reply-rows-session.ts';

/** What nothing else fits: the reply code alone decides. */
const defaultRows: readonly ReplyRow[] = [
  {
    name: 'transient',
    code: '4xx',
    action: 'retry',
    category: 'other',
    suppress: false,
    example: '450 Requested mail action not taken',
  },
  {
    name: 'permanent',
    code: '5xx',
    action: 'fail',
    category: 'other',
    suppress: false,
    example: '554 Transaction failed',
  },
  {
    name: 'unreadable',
    code: 'any',
    action: 'retry',
    category: 'other',
    suppress: false,
    example: '354 End data with <CR><LF>.<CR><LF>',
  },
];

/** Refusals of the sender come before those of the recipient: a reply that could be read as both must never suppress an address. */
export const replyRows: readonly ReplyRow[] = [
  ...sessionRows,
  ...limitRows,
  ...senderRows,
  ...recipientRows,
  ...messageRows,
  ...defaultRows,
];
