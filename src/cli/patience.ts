/** Repeats a request while the API is away or asks to wait, until the answer is one that another try would not change. */
import { setTimeout } from 'node:timers/promises';
import { ownNow } from '../chance.ts';
import { ApiFault } from './api.ts';
import type { Said } from './command.ts';

/** How long an API that is away is retried: enough for its restart, and twice as long as it keeps the upload of a process that died. */
const patienceMs = 60_000;
const askAgainMs = 1_000;

type Time = { now(): number; pause(ms: number): Promise<unknown> };

const realTime: Time = { now: ownNow, pause: (ms) => setTimeout(ms) };

/** Waits at least as long as an answer asks for. An answer that asks for more than the patience left is the last. */
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
      // Starts again after a request that took as long, such as an upload of hours: the API was there all that time.
      if (giveUpAt === Number.POSITIVE_INFINITY || now - askedAt >= patienceMs) giveUpAt = now + patienceMs;
      const waitMs = Math.max(askAgainMs, error.passing.afterMs);
      if (now + waitMs > giveUpAt) throw error;
      const sentence = error.message.replace(/\.?$/, '.');
      if (error.message !== told) yield { text: `${process.stdout.isTTY ? '\n' : ''}${sentence} Trying again.\n` };
      told = error.message;
      await time.pause(waitMs);
    }
  }
}
