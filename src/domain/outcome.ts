/** What one attempt came to, what a caller asks of an accepted email: always a value, one variant for each thing that should happen next. */
import type { FaultCause } from './fault-cause.ts';
import type { SmtpReply } from './recipient.ts';
import type { Suppression } from './suppression.ts';

export type RecipientReply = {
  readonly address: string;
  readonly smtp: SmtpReply;
  /** What it answered, where that was not the recipient's own RCPT: MAIL, or DATA and the body after it. All recipients have it in common. */
  readonly stage?: SharedStage;
};

export type SharedStage = 'mail' | 'data';

/** What is heard of a message after the next hop took it: the final host has it, or it was reported as spam there. */
export type Feedback = { readonly address: string; readonly kind: 'delivered' | 'complained' };

/** How an attempt went over the wire; what is not known is null. */
export type AttemptTrace = {
  /** `host:port` of the next hop. */
  readonly host: string | null;
  /** TLS version, null for plaintext. */
  readonly tls: string | null;
  /** Milliseconds of each phase; connect only where the attempt opened the connection. */
  readonly ms: { readonly connect: number | null; readonly envelope: number | null; readonly body: number | null };
};

type Traced = { readonly transport: string; readonly trace?: AttemptTrace };

export type Outcome =
  /** The next hop answered for every recipient in `replies`; `feedback` is what was heard already of those it took. */
  | ({
      readonly kind: 'answered';
      readonly replies: readonly RecipientReply[];
      readonly feedback?: readonly Feedback[];
      /** The attempt was taken for unknown before, and counted then. */
      readonly isLate?: true;
    } & Traced)
  /** The message may have been handed over and no answer came; `refused` holds the recipients that had their answer before. */
  | ({ readonly kind: 'unknown'; readonly detail: string; readonly refused: readonly RecipientReply[] } & Traced)
  /**
   * The transport's own trouble (connect, TLS, login, a drop before DATA): nothing was handed over, nobody's attempt is burnt. `byMessage` when
   * the connection stood and was logged in, and this message met it. `isShared` when another that waited for the same connection tells of it:
   * it counts once, however many waited. `isCrowded` when the server takes no more connections than there are, as it says.
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
  /** This message cannot be sent by anyone; where it says to whom, to the others it can. */
  | ({ readonly kind: 'undeliverable'; readonly detail: string; readonly recipients?: readonly string[] } & Traced)
  /** Nothing was sent and nobody is at fault: the claim on the email was refused, or no connection was free in time. */
  | { readonly kind: 'withheld' };

export type Obstacle = Extract<Outcome, { kind: 'obstacle' }>;
export type Withheld = Extract<Outcome, { kind: 'withheld' }>;

/** What can be settled: what a transport answered, and what stood in the way before one was asked. */
export type SettledOutcome =
  | Exclude<Outcome, Withheld | Obstacle>
  /** A file to attach could not be fetched; `isFinal` when trying again cannot help. `loggable` is the detail without what the file is called. */
  | { readonly kind: 'fetch_fault'; readonly detail: string; readonly loggable: string; readonly isFinal: boolean }
  /** Its time was over before it could be tried; `why` is what it waited for, where that is known. */
  | { readonly kind: 'expired'; readonly why?: string | null }
  /** These are on the suppression list: nothing is sent to them. */
  | {
      readonly kind: 'suppressed';
      readonly recipients: readonly { readonly address: string; readonly reason: string }[];
    };

/** Its transport did not take it, for a reason that is not the message's own. */
export function notTaken(transport: string, why: string): SettledOutcome {
  return { kind: 'transport_fault', cause: 'connect', transport, detail: why };
}

/** What a caller may ask of an email that was accepted. */
export type Change =
  | { readonly kind: 'canceled' }
  | { readonly kind: 'rescheduled'; readonly at: number }
  /** Failed, expired and held recipients are queued again, and who bounced for a reason that is not its own. */
  | { readonly kind: 'retried' }
  /** Its reader wants no more bulk mail. */
  | { readonly kind: 'unsubscribed'; readonly suppression: Suppression };

/** What a stage tells the queue: finished, or try again at a time (milliseconds since the epoch). */
export type Answer = { readonly done: true } | { readonly again: number };

export const done: Answer = { done: true };
