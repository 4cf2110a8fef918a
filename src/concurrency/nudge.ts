/** A wait that whoever brings work can cut short. */

export type Nudge = {
  /** Ends the present wait, or the next one. */
  nudge(): void;
  /** @param leastMs is waited in any case, so that what nudges bring in quick succession is looked at together */
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

/** Waits so long, or until `stop` aborts. @param hand is given what ends it early */
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
