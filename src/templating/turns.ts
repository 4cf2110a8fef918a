/** Turns of work that keeps the event loop busy: all who make letters have them one after another, and other work runs between any two. */

/** How long letters are made before other work gets a turn. */
const turnMs = 20;

/**
 * Callers that wait get their turns in order of arrival. A running turn is open to all callers that need not wait.
 * @param now in milliseconds, from a clock that is never set
 */
export function makeTurns(now: () => number): () => Promise<void> {
  let endsAt = 0;
  const waiting: (() => void)[] = [];

  /** One for each round of the event loop: all woken in one round would each make a letter before any other work. */
  function begin(): void {
    endsAt = now() + turnMs;
    waiting.shift()?.();
    if (waiting.length > 0) setImmediate(begin);
  }

  return async () => {
    if (now() < endsAt) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(begin);
    await promise;
  };
}
