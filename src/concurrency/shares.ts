/** Places that several parties share: one never takes more than it leaves free, so that those that hang always leave some to the others. */

type Leave = () => void;

export type Shares = {
  /**
   * @param weight places to take; more than there are counts as all of them
   * @returns a function that gives them back; null when there are none for this party now
   */
  tryTake(party: string, weight?: number): Leave | null;
  /** The same, but waits: in order of arrival among those who may have a place. Null when the signal ended the wait. */
  take(party: string, signal: AbortSignal, weight?: number): Promise<Leave | null>;
};

/** Of `count` places one party takes half, two take three quarters, three take seven eighths. One alone may take all of them at once. */
export function makeShares(count: number): Shares {
  let free = count;
  const held = new Map<string, number>();
  /** None of them may have a place now. A set keeps the order of arrival. */
  const waiting = new Set<{ readonly party: string; readonly weight: number; end(leave: Leave | null): void }>();

  function tryTake(party: string, asked = 1): Leave | null {
    const weight = Math.min(asked, count);
    const holds = (held.get(party) ?? 0) + weight;
    if (holds > free) return null;
    free -= weight;
    held.set(party, holds);
    return () => giveBack(party, weight);
  }

  function giveBack(party: string, weight: number): void {
    free += weight;
    const left = (held.get(party) ?? 0) - weight;
    if (left > 0) held.set(party, left);
    else held.delete(party);
    for (const waiter of waiting) {
      const leave = tryTake(waiter.party, waiter.weight);
      if (leave === null) continue;
      waiting.delete(waiter);
      waiter.end(leave);
    }
  }

  return {
    tryTake,
    async take(party, signal, weight = 1) {
      if (signal.aborted) return null;
      const leave = tryTake(party, weight);
      if (leave !== null) return leave;
      return new Promise((end) => {
        const giveUp = () => {
          waiting.delete(waiter);
          end(null);
        };
        const waiter = {
          party,
          weight,
          end(leave: Leave | null) {
            // A listener that stays keeps the signal, and all that hangs on it, for as long as the process.
            signal.removeEventListener('abort', giveUp);
            end(leave);
          },
        };
        waiting.add(waiter);
        signal.addEventListener('abort', giveUp, { once: true });
      });
    },
  };
}
