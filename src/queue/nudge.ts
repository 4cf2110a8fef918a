/** A wait that whoever brings work can cut short. */

export type Nudge = {
  /** Ends the present wait, or the next one at once. */
  nudge(): void;
  wait(ms: number, stop: AbortSignal): Promise<void>;
};

export function makeNudge(): Nudge {
  let isNudged = false;
  let end = () => {};
  return {
    nudge() {
      isNudged = true;
      end();
    },
    async wait(ms, stop) {
      if (!isNudged && !stop.aborted) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, ms);
        stop.addEventListener('abort', () => resolve(), { once: true });
        end = resolve;
        await promise;
        clearTimeout(timer);
      }
      isNudged = false;
    },
  };
}
