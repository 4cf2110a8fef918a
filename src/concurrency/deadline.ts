/** A shared deadline: parts that are closed one after the other have one time limit together, not one for each. */

export type Deadline = {
  /** The first call starts the time. @returns a signal that aborts once the time is over */
  begin(): AbortSignal;
};

export function makeDeadline(ms: number): Deadline {
  let over: AbortSignal | undefined;
  return {
    begin() {
      over ??= AbortSignal.timeout(ms);
      return over;
    },
  };
}

/** Waits for `work` until one of `ends` aborts. The work then goes on without a waiter. */
export async function waitUntil(work: PromiseLike<unknown>, ...ends: AbortSignal[]): Promise<void> {
  const over = AbortSignal.any(ends);
  const ended = Promise.withResolvers<void>();
  if (over.aborted) ended.resolve();
  over.addEventListener('abort', () => ended.resolve(), { once: true });
  await Promise.race([work, ended.promise]);
}
