/** The port every transport fills: one message in, one Outcome out. */
import type { Dsn } from '../domain/dsn.ts';
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

export type Transport = AsyncDisposable & {
  readonly name: string;
  /**
   * Sends one message once; never retries.
   * @param claim asked right before the first byte of the body leaves; when it answers false, nothing is sent
   * @throws only what `claim` throws
   */
  send(message: Message, claim: () => Promise<boolean>): Promise<Outcome>;
};
