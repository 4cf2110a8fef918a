/** The port every transport fills: one message in, one Outcome out. */
import type { Dsn } from '../domain/dsn.ts';
import type { Lane } from '../domain/lane.ts';
import type { Outcome } from '../domain/outcome.ts';

export type Message = {
  readonly emailId: string;
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  /** The whole message, ready for the wire but for dot-stuffing: its lines end with CRLF, and no CR or LF stands alone. */
  readonly raw: Buffer;
  /** Asked for where the next hop has DSN, left out where it has not. */
  readonly dsn?: Dsn | null;
  /** Attempts it has behind it: those of the recipient with the fewest. */
  readonly attempts?: number;
};

/** What a message has a right to among those that want a connection. */
export type Turn = {
  readonly lane: Lane;
  /** Share of the connections that bulk leaves to transactional, 0..1. */
  readonly reserve: number;
  /** Its envelope does not go along with the body of another. */
  readonly isAlone?: boolean;
  /** Whoever brought it keeps it meanwhile: in bulk, it leaves others a share. */
  readonly isKept?: boolean;
};

export type TransportFault = Extract<Outcome, { kind: 'transport_fault' }>;

/** No session came about, and nobody is at fault: others have their turn, or the like. */
export type Delay = { readonly kind: 'delayed'; readonly detail: string };

/** Of a transport that has a place for everybody. */
const endless = Number.POSITIVE_INFINITY;
export const endlessRoom = { transactional: endless, bulk: endless, kept: endless } as const;

export type PoolState = {
  /** Connections that are logged in. */
  readonly open: number;
  /** Connections with a message in hand. */
  readonly busy: number;
  /** Messages that wait for a connection. */
  readonly waiting: number;
  /** Of them bulk that is not kept by whoever brought it. */
  readonly waitingBulk: number;
  /**
   * None is allowed, or so many wait that another of any lane would wait long; or a wait ended in vain, no connection has become free since,
   * and a transactional message would wait as well.
   */
  readonly isStuck: boolean;
  /** Every message in hand has been there for long, none was answered meanwhile, and another waited for a connection in vain. */
  readonly isHanging: boolean;
  /** Connections that the server refused as one too many, so far. */
  readonly refusals: number;
  /** Messages of each lane that it could take now without making them wait long, and of bulk that is kept by whoever brought it. */
  readonly room: Readonly<Record<Lane | 'kept', number>>;
};

export type Transport = AsyncDisposable & {
  readonly name: string;
  /**
   * Sends one message once; never retries. Withheld when no connection was free in time or the transport is closed.
   * @param claim asked right before the first byte of the body leaves; when it answers false, nothing is sent
   * @throws only what `claim` throws
   */
  send(message: Message, claim: () => Promise<boolean>, turn: Turn): Promise<Outcome>;
  /** Opens a connection and logs in, keeps it. null when that went well. */
  probe(): Promise<TransportFault | Delay | null>;
  readonly pool: PoolState;
  /** Connections it may have from now on; those above it are closed as they become free. */
  allow(connections: number): void;
};
