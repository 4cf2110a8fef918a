/** Refresh tokens as this process knows them. A token that could not be stored is used all the same, and stored as soon as possible. */
import { makeAlarm } from '../concurrency/alarm.ts';

/** An account, identified by its configuration. */
export type Account = {
  readonly id: string;
  /** Host of its token server. */
  readonly host: string;
};

/** The right to ask for a token: one process has it at a time. */
export type Turn = { end(): Promise<void> };

/** A refresh token, given or configured. `at` is when it was given, in milliseconds since the epoch, always later than the token it replaced. */
export type Given = { readonly token: string; readonly at: number };

/** The refresh tokens that token servers gave to replace configured ones. */
export type RefreshTokens = {
  /** @returns null when none was given yet */
  newest(account: Account): Promise<Given | null>;
  /** @param turn the turn in which it was given; ended once the token is stored, because others would use the old one */
  keep(account: Account, given: Given, turn: Turn): Promise<void>;
  /** Null while another process has the turn. A turn ends by itself after `forMs`. */
  takeTurn(account: Account, forMs: number): Promise<Turn | null>;
};

/** The same tokens in the store, shared by all processes, by the id of the account. */
export type StoredTokens = {
  newest(account: string): Promise<Given | null>;
  /** Stores the token unless the stored one was given later: a newer token of another process stays. */
  keep(account: string, given: Given): Promise<void>;
  takeTurn(account: string, forMs: number): Promise<Turn | null>;
};

type Options = {
  onTrouble(part: 'oauth', error: Error): void;
  /** Called when a token that could not be stored before has been stored. */
  onStored(host: string): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Wait before storing is tried again; twice as long each time. */
  readonly leastWaitMs?: number;
};

/** A token that only this process knows. */
type Unstored = {
  readonly account: Account;
  readonly given: Given;
  /** The turns in which it and the unstored tokens before it were given. */
  readonly turns: readonly Turn[];
  isTold: boolean;
  tryAt: number;
  waitMs: number;
};

const usualLeastWaitMs = 1_000;
const mostWaitMs = 60_000;
/** Older turns have lapsed by then. */
const mostTurns = 10;

/** At dispose, tokens that are not stored are tried once more. */
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

  /** Stores a token; when that fails, a timer tries again. */
  async function store(one: Unstored): Promise<void> {
    const { account, given, turns } = one;
    one.tryAt = now() + one.waitMs;
    one.waitMs = Math.min(mostWaitMs, 2 * one.waitMs);
    try {
      await stored.keep(account.id, given);
    } catch (error) {
      one.isTold = true;
      onTrouble('oauth', new Error(`${failedWith(account, error)}. ${advice}`));
      if (!isOver && unstored.get(account.id) === one) alarm.by(one.tryAt);
      return;
    }
    // A newer token may have come meanwhile.
    if (unstored.get(account.id) !== one) return;
    unstored.delete(account.id);
    if (one.isTold) onStored(account.host);
    await endAll(turns);
  }

  return {
    async newest({ id }) {
      const one = unstored.get(id);
      if (one !== undefined) await store(one);
      return unstored.get(id)?.given ?? stored.newest(id);
    },

    async keep(account, given, turn) {
      const before = unstored.get(account.id);
      const turns = [turn, ...(before?.turns ?? [])].slice(0, mostTurns);
      const one = { account, given, turns, isTold: before !== undefined, tryAt: 0, waitMs: leastWaitMs };
      unstored.set(account.id, one);
      await store(one);
    },

    takeTurn: ({ id }, forMs) => stored.takeTurn(id, forMs),

    async [Symbol.asyncDispose]() {
      isOver = true;
      alarm.off();
      const last = [...unstored.values()].map(({ account, given, turns }) =>
        stored.keep(account.id, given).then(
          () => endAll(turns),
          (error: unknown) => onTrouble('oauth', new Error(`${failedWith(account, error)}. ${lastAdvice}`)),
        ),
      );
      await Promise.all(last);
    },
  };
}

/** A turn that cannot be ended now lapses by itself. */
async function endAll(turns: readonly Turn[]): Promise<void> {
  await Promise.all(turns.map((turn) => turn.end().catch(() => {})));
}

const advice =
  'This process goes by it and tries again; others would use up the one before, so see that Redis takes writes, and stop this process only then';
const lastAdvice = 'This process ends with it: where logins are refused from now on, configure a new refresh token';

function failedWith({ host }: Account, error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `The refresh token that ${host} gave in place of the one before could not be stored: ${why}`;
}
