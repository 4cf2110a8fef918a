/** Books of access tokens that nothing outside of the test shares or keeps. */
import { monotonicNow, ownNow } from '../../src/chance.ts';
import { noTurn, type Remembered } from '../../src/outbound/oauth-asking.ts';
import { openTokenBook, type TokenBook } from '../../src/outbound/oauth-tokens.ts';

/** Stores nothing beyond the process. */
export const forgetful: Remembered = {
  refreshTokens: { newest: async () => null, keep: async () => {}, takeTurn: async () => noTurn },
  accessTokens: { shared: async () => null, share: async () => {}, drop: async () => {} },
};

export function ownTokens(now: () => number = monotonicNow): TokenBook {
  return openTokenBook(forgetful, { now, date: ownNow });
}
