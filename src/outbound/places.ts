/** Lets so many work at once; whoever comes later waits in order, for as long as its signal allows. */

export type Places = {
  /** @returns what gives the place back, to be called once; null when the signal ended the wait */
  take(signal: AbortSignal): Promise<(() => void) | null>;
};

export function makePlaces(count: number): Places {
  let free = count;
  /** A set keeps the order in which they came. */
  const waiting = new Set<() => void>();

  function waitForTurn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const go = () => {
        signal.removeEventListener('abort', leave);
        resolve(true);
      };
      const leave = () => {
        waiting.delete(go);
        resolve(false);
      };
      waiting.add(go);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  function giveBack(): void {
    const [next] = waiting;
    if (next === undefined) {
      free += 1;
    } else {
      waiting.delete(next);
      next();
    }
  }

  return {
    async take(signal) {
      if (signal.aborted) return null;
      if (free > 0) free -= 1;
      else if (!(await waitForTurn(signal))) return null;
      return giveBack;
    },
  };
}
