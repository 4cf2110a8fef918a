/** Refresh tokens as this process knows them: what could not be stored is used all the same, and stored as soon as that goes. */
import { makeAlarm } from './alarm.ts';

/** By what is configured of it. */
export type Account = {
  readonly id: string;
  /** Who gives its tokens. */
  readonly host: string;
};

/** The right to ask for a token: one process has it at a time. */
export type Turn = { end(): Promise<void> };

/** The refresh tokens that token servers gave in place of configured ones. */
export type RefreshTokens = {
  /** @returns null where none was given yet */
  newest(account: Account): Promise<string | null>;
  /** False when it could not be stored. @param used the one it came in place of */
  keep(account: Account, refreshToken: string, used: string): Promise<boolean>;
  /** Null while another has it; it is over by itself after `forMs`. */
  takeTurn(account: Account, forMs: number): Promise<Turn | null>;
};

/** The same as all processes remember it, by the ids of accounts. */
export type StoredTokens = {
  newest(account: string): Promise<string | null>;
  /** Stores it where nothing stands, or one of those it came in place of: else somebody was given another since, which stays. */
  keep(account: string, refreshToken: string, inPlaceOf: readonly string[]): Promise<void>;
  takeTurn(account: string, forMs: number): Promise<Turn | null>;
};

type Options = {
  onTrouble(part: 'oauth', error: Error): void;
  /** What could not be stored before is. */
  onStored(host: string): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Until it is tried again; twice as long each time. */
  readonly leastWaitMs?: number;
};

/** What this process alone knows. */
type Unstored = {
  readonly account: Account;
  readonly token: string;
  /** What may stand stored: the answer of Redis to one of them may have been lost. */
  readonly inPlaceOf: readonly string[];
  isTold: boolean;
  tryAt: number;
  waitMs: number;
};

const usualLeastWaitMs = 1_000;
const mostWaitMs = 60_000;
/** So many may come one after the other while Redis is away; beyond that the oldest and the newest are known. */
const mostInPlace = 100;

/** When it is disposed of, what is not stored is tried once more. */
export function openTokenKeeper(
  stored: StoredTokens,
  { onTrouble, onStored, now, leastWaitMs = usualLeastWaitMs }: Options,
): RefreshTokens & AsyncDisposable {
  const unstored = new Map<string, Unstored>();
  const alarm = makeAlarm(now, ring);
  let isOver = false;

  function ring(): number {
    const all = [...unstored.values()];
    for (const one of all) if (one.tryAt <= now()) void store(one);
    return Math.min(...all.map(({ tryAt }) => tryAt));
  }

  /** What cannot be stored now is tried again by itself. */
  async function store(one: Unstored): Promise<void> {
    const { account, token, inPlaceOf } = one;
    one.tryAt = now() + one.waitMs;
    one.waitMs = Math.min(mostWaitMs, 2 * one.waitMs);
    try {
      await stored.keep(account.id, token, inPlaceOf);
    } catch (error) {
      one.isTold = true;
      onTrouble('oauth', new Error(`${failedWith(account, error)}. ${advice}`));
      if (!isOver && unstored.get(account.id) === one) alarm.by(one.tryAt);
      return;
    }
    // Another may have come meanwhile.
    if (unstored.get(account.id) !== one) return;
    unstored.delete(account.id);
    if (one.isTold) onStored(account.host);
  }

  return {
    async newest({ id }) {
      const one = unstored.get(id);
      if (one !== undefined) await store(one);
      return unstored.get(id)?.token ?? stored.newest(id);
    },

    async keep(account, token, used) {
      const before = unstored.get(account.id);
      const inPlaceOf = [...(before?.inPlaceOf ?? []).slice(0, mostInPlace - 1), used];
      const one = { account, token, inPlaceOf, isTold: before !== undefined, tryAt: 0, waitMs: leastWaitMs };
      unstored.set(account.id, one);
      await store(one);
      return !unstored.has(account.id);
    },

    takeTurn: ({ id }, forMs) => stored.takeTurn(id, forMs),

    async [Symbol.asyncDispose]() {
      isOver = true;
      alarm.off();
      const last = [...unstored.values()].map(({ account, token, inPlaceOf }) =>
        stored.keep(account.id, token, inPlaceOf).catch((error: unknown) => {
          onTrouble('oauth', new Error(`${failedWith(account, error)}. ${lastAdvice}`));
        }),
      );
      await Promise.all(last);
    },
  };
}

const advice =
  'This process goes by it and tries again; others would use up the one before, so see that Redis takes writes, and stop this process only then';
const lastAdvice = 'This process ends with it: where logins are refused from now on, configure a new refresh token';

function failedWith({ host }: Account, error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `The refresh token that ${host} gave in place of the one before could not be stored: ${why}`;
}
