/** The outcome of one attempt, and the changes a caller may ask for: always a value, with one variant for each thing that should happen next. */
import type { FaultCause } from './fault-cause.ts';
import type { SmtpReply } from './recipient.ts';
import type { Suppression } from './suppression.ts';

export type RecipientReply = {
  readonly address: string;
  readonly smtp: SmtpReply;
  /**
   * The stage that was answered, when it was not the recipient's own RCPT: MAIL, or DATA and the body after it. The reply then holds for all
   * recipients.
   */
  readonly stage?: SharedStage;
};

export type SharedStage = 'mail' | 'data';

/** Feedback on a message after the next hop took it: the final host has it, or the recipient reported it as spam. */
export type Feedback = { readonly address: string; readonly kind: 'delivered' | 'complained' };

/** How an attempt went on the wire. null is unknown. */
export type AttemptTrace = {
  /** `host:port` of the next hop. */
  readonly host: string | null;
  /** TLS version, null for plaintext. */
  readonly tls: string | null;
  /** Milliseconds of each phase. `connect` only when the attempt opened the connection. */
  readonly ms: { readonly connect: number | null; readonly envelope: number | null; readonly body: number | null };
};

type Traced = { readonly transport: string; readonly trace?: AttemptTrace };

export type Outcome =
  /** The next hop answered for every recipient in `replies`. `feedback` is what is already known of those it took. */
  | ({
      readonly kind: 'answered';
      readonly replies: readonly RecipientReply[];
      readonly feedback?: readonly Feedback[];
      /** The attempt was recorded as unknown before, and counted then. */
      readonly isLate?: true;
      /** All were refused for want of a login, as they were before by this transport, which has taken other messages since. */
      readonly isOwn?: true;
    } & Traced)
  /** The message may have been handed over, and no answer came. `refused` holds the recipients that were answered before. */
  | ({ readonly kind: 'unknown'; readonly detail: string; readonly refused: readonly RecipientReply[] } & Traced)
  /**
   * The transport's own trouble (connect, TLS, login, a drop before DATA): nothing was handed over, and no email loses an attempt. `byMessage` when
   * this message met it on a connection that was open and logged in. `isShared` when another that waited for the same connection reports it:
   * it counts once, however many waited. `isCrowded` when the server says that it takes no more connections than there are.
   */
  | ({
      readonly kind: 'transport_fault';
      readonly cause: FaultCause;
      readonly detail: string;
      readonly byMessage?: boolean;
      readonly isShared?: true;
      readonly isCrowded?: true;
    } & Traced)
  /**
   * This message cannot go to `recipients` over this hop: it is too large or needs SMTPUTF8, which we know without asking, or the hop does not
   * relay it. Another may take it, and those who are not among them it can go to.
   */
  | ({ readonly kind: 'obstacle'; readonly detail: string; readonly recipients: readonly string[] } & Traced)
  /**
   * No transport can send this message. When it names recipients, the others can still get it. `isUnmade` when the message could not be made:
   * then `transport` was chosen and not asked.
   */
  | ({
      readonly kind: 'undeliverable';
      readonly detail: string;
      readonly recipients?: readonly string[];
      readonly isUnmade?: true;
    } & Traced)
  /** The next hop has the message, and answers no earlier than `at` (milliseconds since the epoch). Only the sandbox is so slow. */
  | ({ readonly kind: 'awaited'; readonly at: number } & Traced)
  /** Nothing was sent and nothing is wrong: the claim on the email was refused, or no connection was free in time. */
  | { readonly kind: 'withheld' };

export type Obstacle = Extract<Outcome, { kind: 'obstacle' }>;
export type Withheld = Extract<Outcome, { kind: 'withheld' }>;

/**
 * What `settle` takes: a transport's outcome, or a reason why none was asked. `to` has the addresses that the attempt was for, where others
 * were pending as well: of these it says nothing.
 */
export type SettledOutcome = Reached & { readonly to?: readonly string[] };

type Reached =
  | Exclude<Outcome, Withheld | Obstacle>
  /** An attachment could not be fetched. `isFinal`: trying again cannot help. `loggable` is the detail without the file's name. */
  | { readonly kind: 'fetch_fault'; readonly detail: string; readonly loggable: string; readonly isFinal: boolean }
  /** The email expired before it could be tried. `why` is what it waited for, when that is known. */
  | { readonly kind: 'expired'; readonly why?: string | null }
  /** These recipients are suppressed: nothing is sent to them. */
  | {
      readonly kind: 'suppressed';
      readonly recipients: readonly { readonly address: string; readonly reason: string }[];
    };

/** The transport did not take the message, for a reason that is not the message's own. */
export function notTaken(transport: string, why: string): SettledOutcome {
  return { kind: 'transport_fault', cause: 'connect', transport, detail: why };
}

/** The message could not be made. */
export function unmade(transport: string, detail: string): SettledOutcome {
  return { kind: 'undeliverable', transport, detail, isUnmade: true };
}

/** Replaces a transport's name when it is unknown, or when none was chosen. */
export const noTransport = '';

/** The transport that was asked; null when none was, or when it is unknown. */
export function transportAsked(what: SettledOutcome | Change): string | null {
  if (!('transport' in what) || what.transport === noTransport) return null;
  return what.kind === 'undeliverable' && what.isUnmade ? null : what.transport;
}

/** A change that a caller may ask for after accept. */
export type Change =
  | { readonly kind: 'canceled' }
  | { readonly kind: 'rescheduled'; readonly at: number }
  /** Queues failed, expired and held recipients again, and bounced ones whose refusal was not about them. */
  | { readonly kind: 'retried' }
  /** The recipient wants no more bulk mail. */
  | { readonly kind: 'unsubscribed'; readonly suppression: Suppression };

/** What a stage tells the queue: finished, or try again at a time (milliseconds since the epoch). */
export type Answer = { readonly done: true } | { readonly again: number };

export const done: Answer = { done: true };
