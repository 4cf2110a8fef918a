/** Patience with an API that is away, or says when to come again: it is asked until there is an answer that another try would not change. */
import { setTimeout } from 'node:timers/promises';
import { ApiFault } from './api.ts';
import type { Said } from './command.ts';

/** For so long an API that is away is asked again: a restart of it, and twice as long as it keeps an upload for a process that died. */
const patienceMs = 60_000;
const askAgainMs = 1_000;

export type Time = { now(): number; pause(ms: number): Promise<unknown> };

const realTime: Time = { now: Date.now, pause: (ms) => setTimeout(ms) };

/** Never sooner than an answer says; one that says later than it is waited for is the last. */
export async function* patiently<Answer>(
  ask: () => Promise<Answer>,
  time: Time = realTime,
): AsyncGenerator<Said, Answer> {
  let giveUpAt = Number.POSITIVE_INFINITY;
  for (let told = ''; ; ) {
    const askedAt = time.now();
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiFault) || error.passing === null) throw error;
      const now = time.now();
      // Counted from when it was away first: an upload may take hours before, and was there as long as it took so much.
      if (giveUpAt === Number.POSITIVE_INFINITY || now - askedAt >= patienceMs) giveUpAt = now + patienceMs;
      const waitMs = Math.max(askAgainMs, error.passing.afterMs);
      if (now + waitMs > giveUpAt) throw error;
      if (error.message !== told) yield { text: `${process.stdout.isTTY ? '\n' : ''}${error.message} Trying again.\n` };
      told = error.message;
      await time.pause(waitMs);
    }
  }
}
