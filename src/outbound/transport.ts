/** The interface of every transport: one message in, one Outcome out. */
import type { Dsn } from '../domain/dsn.ts';
import type { StoredEmail } from '../domain/email.ts';
import type { Line } from '../domain/lane.ts';
import type { Obstacle, Outcome } from '../domain/outcome.ts';

export type Message = {
  readonly emailId: string;
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  /** The whole message, ready for the wire except for dot-stuffing. Its lines end with CRLF; there is no lone CR or LF. */
  readonly raw: Buffer;
  /** Requested when the next hop offers DSN, else left out. */
  readonly dsn?: Dsn | null;
  /** Earlier attempts, of the recipient with the fewest. */
  readonly attempts?: number;
};

/** What is known of a message before it is made. */
export type Outline = {
  readonly email: StoredEmail;
  /** Whom it is for: recipients of the email. */
  readonly to: readonly string[];
  /** The message is not smaller than this. */
  readonly leastBytes: number;
};

/** The rights of a message among all that want a connection. */
export type Turn = {
  readonly line: Line;
  /** Share of the connections that bulk leaves to transactional, 0..1. */
  readonly reserve: number;
  /** Its envelope must not be sent along with the body of another message. */
  readonly isAlone?: boolean;
};

export type TransportFault = Extract<Outcome, { kind: 'transport_fault' }>;

/** No session was opened, and the server is not at fault: for instance, another process has its turn to request a token. */
export type Delay = { readonly kind: 'delayed'; readonly detail: string };

export type PoolState = {
  /** Connections that are logged in. */
  readonly open: number;
  /** Connections with a message in hand. */
  readonly busy: number;
  /** Messages that wait for a connection. */
  readonly waiting: number;
  /** How many of them are bulk and not of a campaign. */
  readonly waitingBulk: number;
  /**
   * No connection is allowed, or so many messages wait that another of any lane would wait long; or a wait timed out, no connection has become
   * free since, and a transactional message would have to wait as well.
   */
  readonly isStuck: boolean;
  /** All messages in hand have waited long for an answer, none was answered meanwhile, and another message waited for a connection in vain. */
  readonly isHanging: boolean;
  /** How long most of the last messages that the server accepted had their connection; null before the third. */
  readonly acceptedMs: number | null;
  /** Connections that the server refused as one too many, so far. */
  readonly refusals: number;
  /** Messages of each lane that it could take now without making them wait long, and of campaigns. */
  readonly room: Readonly<Record<Line, number>>;
};

const endless = Number.POSITIVE_INFINITY;
/** The pool of a transport without limits that has nothing in hand. */
export const endlessPool: PoolState = {
  open: 0,
  busy: 0,
  waiting: 0,
  waitingBulk: 0,
  isStuck: false,
  isHanging: false,
  acceptedMs: null,
  refusals: 0,
  room: { transactional: endless, bulk: endless, campaign: endless },
};

export type Transport = AsyncDisposable & {
  readonly name: string;
  /**
   * Sends one message once; never retries. `withheld` when no connection was free in time, or the transport was closed before the claim.
   * @param claim called right before the first byte of the body leaves; when it answers false, nothing is sent
   * @throws only what `claim` throws
   */
  send(message: Message, claim: () => Promise<boolean>, turn: Turn): Promise<Outcome>;
  /** The obstacle that the message would meet, by what the server offered to its open connections; null when none is known. */
  foresee(outline: Outline): Obstacle | null;
  /** Opens a connection, logs in and keeps it. Null on success. */
  probe(): Promise<TransportFault | Delay | null>;
  readonly pool: PoolState;
  /** Sets how many connections it may have from now on; connections above that are closed as they become free. */
  allow(connections: number): void;
};
