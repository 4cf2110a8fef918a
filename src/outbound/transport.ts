/** The port every transport fills: one message in, one Outcome out. */
import type { Outcome } from '../domain/outcome.ts';

export type Message = {
  readonly emailId: string;
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  /** The whole message, ready for the wire but for dot-stuffing. */
  readonly raw: Buffer;
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
