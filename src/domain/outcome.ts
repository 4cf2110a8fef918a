/** What one hand-over attempt came to: always a value, one variant for each thing that should happen next. */
import type { SmtpReply } from './recipient.ts';

export type RecipientReply = { readonly address: string; readonly smtp: SmtpReply };

export type Outcome =
  /** The next hop answered for every recipient in `replies`. */
  | { readonly kind: 'answered'; readonly transport: string; readonly replies: readonly RecipientReply[] }
  /** The message may have been handed over and no answer came; `refused` holds the recipients that had their answer before. */
  | {
      readonly kind: 'unknown';
      readonly transport: string;
      readonly detail: string;
      readonly refused: readonly RecipientReply[];
    }
  /** The transport's own trouble (connect, TLS, login, a drop before DATA): nothing was handed over, nobody's attempt is burnt. */
  | { readonly kind: 'transport_fault'; readonly transport: string; readonly detail: string }
  /** This message cannot be sent by anyone or over this hop (too large, no SMTPUTF8): an answer we know without asking. */
  | { readonly kind: 'undeliverable'; readonly transport: string; readonly detail: string }
  /** The claim on the email was lost before the first byte of the body: somebody else moved it, so look again. */
  | { readonly kind: 'withheld' };

export type SettledOutcome = Exclude<Outcome, { kind: 'withheld' }>;

/** What a stage tells the queue: finished, or try again at a time (milliseconds since the epoch). */
export type Answer = { readonly done: true } | { readonly again: number };

export const done: Answer = { done: true };
