/** A wait that ends early when new work comes. */

export type Nudge = {
  /** Ends the present wait, or the next one. */
  nudge(): void;
  /** @param leastMs waited in any case, so that the work of several quick nudges is handled together */
  wait(leastMs: number, mostMs: number, stop: AbortSignal): Promise<void>;
};

export function makeNudge(): Nudge {
  let isNudged = false;
  let end = () => {};
  return {
    nudge() {
      isNudged = true;
      end();
    },
    async wait(leastMs, mostMs, stop) {
      if (leastMs > 0) await pause(leastMs, stop);
      if (!isNudged && mostMs > leastMs)
        await pause(mostMs - leastMs, stop, (cut) => {
          end = cut;
        });
      isNudged = false;
    },
  };
}

/** Waits `ms`, or until `stop` aborts. @param hand gets a function that ends the wait early */
export async function pause(ms: number, stop: AbortSignal, hand: (cut: () => void) => void = () => {}): Promise<void> {
  if (stop.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const cut = () => resolve();
  const timer = setTimeout(cut, ms);
  stop.addEventListener('abort', cut);
  hand(cut);
  await promise;
  clearTimeout(timer);
  stop.removeEventListener('abort', cut);
}
