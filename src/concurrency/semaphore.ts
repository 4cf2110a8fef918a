/** Lets so much work at once; whoever comes later waits in order, for as long as its signal allows. */

export type Semaphore = {
  /**
   * @param weight places it takes; more than there are counts as all of them
   * @returns what gives them back, all at once or a few at a time; null when the signal ended the wait
   */
  take(signal: AbortSignal, weight?: number): Promise<((part?: number) => void) | null>;
};

export function makeSemaphore(count: number): Semaphore {
  let free = count;
  /** A set keeps the order in which they came. */
  const waiting = new Set<{ readonly signal: AbortSignal; readonly weight: number; end(isIn: boolean): void }>();

  /** Each is listened to once, however many wait under it. */
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

  /** Nobody passes one that came before, or a heavy one would wait for ever. */
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
