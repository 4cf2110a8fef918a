/** A deadline that several share: what is closed one after the other has one time for all of it, and not one for each. */

export type Deadline = {
  /** The first who asks begins it. @returns aborted once the time is over */
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

/** Waits for `work` until one of `ends` is aborted. What is left then goes on, and nobody waits for it. */
export async function waitUntil(work: PromiseLike<unknown>, ...ends: AbortSignal[]): Promise<void> {
  const over = AbortSignal.any(ends);
  const ended = Promise.withResolvers<void>();
  if (over.aborted) ended.resolve();
  over.addEventListener('abort', () => ended.resolve(), { once: true });
  await Promise.race([work, ended.promise]);
}
