/** Limits work that runs at the same time. Later work waits in order, until its signal aborts. */

export type Semaphore = {
  /**
   * @param weight places to take; more than there are counts as all of them
   * @param longestMs of the wait; without it only the signal ends it
   * @returns a function that gives the places back, all at once or a few at a time; null when the wait ended without places
   */
  take(signal: AbortSignal, weight?: number, longestMs?: number): Promise<((part?: number) => void) | null>;
};

type Waiter = { readonly signal: AbortSignal; readonly weight: number; end(isIn: boolean): void };

export function makeSemaphore(count: number): Semaphore {
  let free = count;
  /** A set keeps the order of arrival. */
  const waiting = new Set<Waiter>();

  /** Signals with a listener: each has one, however many wait with it. */
  const heard = new WeakSet<AbortSignal>();

  function waitForTurn(signal: AbortSignal, weight: number, longestMs?: number): Promise<boolean> {
    if (!heard.has(signal)) {
      heard.add(signal);
      signal.addEventListener('abort', () => leave((waiter) => waiter.signal === signal), { once: true });
    }
    return new Promise((resolve) => {
      // A timer of its own: a signal of each caller that times out would cost an exception, also when the wait was short.
      const timer =
        longestMs === undefined ? undefined : setTimeout(() => leave((waiter) => waiter === own), longestMs);
      const own: Waiter = {
        signal,
        weight,
        end(isIn) {
          clearTimeout(timer);
          resolve(isIn);
        },
      };
      waiting.add(own);
    });
  }

  function leave(isGone: (waiter: Waiter) => boolean): void {
    for (const waiter of waiting) {
      if (!isGone(waiter)) continue;
      waiting.delete(waiter);
      waiter.end(false);
    }
    letIn();
  }

  /** No waiter passes an earlier one: otherwise a heavy one could wait for ever. */
  function letIn(): void {
    for (const waiter of waiting) {
      if (waiter.weight > free) return;
      waiting.delete(waiter);
      free -= waiter.weight;
      waiter.end(true);
    }
  }

  return {
    async take(signal, asked = 1, longestMs?: number) {
      if (signal.aborted) return null;
      const weight = Math.min(asked, count);
      if (waiting.size === 0 && weight <= free) free -= weight;
      else if (!(await waitForTurn(signal, weight, longestMs))) return null;
      let held = weight;
      return (part = held) => {
        const given = Math.min(part, held);
        held -= given;
        free += given;
        letIn();
      };
    },
  };
}
