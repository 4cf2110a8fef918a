/** Waiting on conditions, never on time: looks again until there is an answer, and says what it saw last when there is none. */
import { setTimeout as pause } from 'node:timers/promises';

const usualDeadlineMs = 30_000;
const lookEveryMs = 20;

/** Calls `look` until it returns something other than undefined or false. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  explain?: () => unknown,
  deadlineMs = usualDeadlineMs,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  while (Date.now() < deadline) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    await pause(lookEveryMs);
  }
  throw new Error(
    `Waited ${deadlineMs} ms for: ${what}${explain === undefined ? '' : `\n${JSON.stringify(await explain(), null, 2)}`}`,
  );
}
