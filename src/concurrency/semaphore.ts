/** Limits work that runs at the same time. Later work waits in order, until its signal aborts. */

export type Semaphore = {
  /**
   * @param weight places to take; more than there are counts as all of them
   * @returns a function that gives the places back, all at once or a few at a time; null when the signal ended the wait
   */
  take(signal: AbortSignal, weight?: number): Promise<((part?: number) => void) | null>;
};

export function makeSemaphore(count: number): Semaphore {
  let free = count;
  /** A set keeps the order of arrival. */
  const waiting = new Set<{ readonly signal: AbortSignal; readonly weight: number; end(isIn: boolean): void }>();

  /** Signals with a listener: each has one, however many wait with it. */
  const heard = new WeakSet<AbortSignal>();

  function waitForTurn(signal: AbortSignal, weight: number): Promise<boolean> {
    if (!heard.has(signal)) {
      heard.add(signal);
      signal.addEventListener('abort', () => leave(signal), { once: true });
    }
    return new Promise((end) => waiting.add({ signal, weight, end }));
  }

  function leave(signal: AbortSignal): void {
    for (const waiter of waiting) {
      if (waiter.signal !== signal) continue;
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
    async take(signal, asked = 1) {
      if (signal.aborted) return null;
      const weight = Math.min(asked, count);
      if (waiting.size === 0 && weight <= free) free -= weight;
      else if (!(await waitForTurn(signal, weight))) return null;
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
