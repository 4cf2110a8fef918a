/** Places that several parties share: one never takes more than it leaves free, so that those that hang always leave some to the others. */

type Leave = () => void;

export type Shares = {
  /** @returns a function that gives the place back; null when there is none for this party now */
  tryTake(party: string): Leave | null;
  /** The same, but waits: in order of arrival among those who may have a place. Null when the signal ended the wait. */
  take(party: string, signal: AbortSignal): Promise<Leave | null>;
};

/** Of `count` places one party takes half, two take three quarters, three take seven eighths. */
export function makeShares(count: number): Shares {
  let free = count;
  const held = new Map<string, number>();
  /** None of them may have a place now. A set keeps the order of arrival. */
  const waiting = new Set<{ readonly party: string; end(leave: Leave | null): void }>();

  function tryTake(party: string): Leave | null {
    const holds = held.get(party) ?? 0;
    if (holds >= free) return null;
    free -= 1;
    held.set(party, holds + 1);
    return () => giveBack(party);
  }

  function giveBack(party: string): void {
    free += 1;
    const left = (held.get(party) ?? 0) - 1;
    if (left > 0) held.set(party, left);
    else held.delete(party);
    for (const waiter of waiting) {
      const leave = tryTake(waiter.party);
      if (leave === null) continue;
      waiting.delete(waiter);
      waiter.end(leave);
    }
  }

  return {
    tryTake,
    async take(party, signal) {
      if (signal.aborted) return null;
      const leave = tryTake(party);
      if (leave !== null) return leave;
      return new Promise((end) => {
        const giveUp = () => {
          waiting.delete(waiter);
          end(null);
        };
        const waiter = {
          party,
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
