/**
 * Places that several parties share. A party never takes more than it leaves free, so that parties that hang always leave some to the others.
 * A waiting caller always gets in, however busy it is: its own party never passes it, and no other does once its own party has no place.
 */

type Leave = () => void;

export type Shares = {
  /**
   * @param weight places to take; more than there are counts as all of them
   * @returns a function that gives them back; null when there are none for this party now, or one waits that it may not pass
   */
  tryTake(party: string, weight?: number): Leave | null;
  /** The same, but waits, and keeps others from passing. Null when the signal ended the wait. */
  take(party: string, signal: AbortSignal, weight?: number): Promise<Leave | null>;
};

/** Of `count` places one party takes half, two take three quarters, three take seven eighths. One alone may take all of them at once. */
export function makeShares(count: number): Shares {
  let free = count;
  const held = new Map<string, number>();
  /** None of them may have a place now. A set keeps the order of arrival. */
  const waiting = new Set<{ readonly party: string; readonly weight: number; end(leave: Leave | null): void }>();

  function takeFree(party: string, weight: number): Leave | null {
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
    letIn();
  }

  function letIn(): void {
    const passed = new Set<string>();
    for (const waiter of waiting) {
      if (passed.has(waiter.party)) continue;
      const leave = takeFree(waiter.party, waiter.weight);
      if (leave === null) {
        if (!held.has(waiter.party)) return;
        passed.add(waiter.party);
        continue;
      }
      waiting.delete(waiter);
      waiter.end(leave);
    }
  }

  /** A waiter whose party has no place only needs free places: callers that want less would keep it waiting for ever. */
  function mayPass(party: string): boolean {
    for (const waiter of waiting) if (waiter.party === party || !held.has(waiter.party)) return false;
    return true;
  }

  function tryTake(party: string, weight = 1): Leave | null {
    return mayPass(party) ? takeFree(party, Math.min(weight, count)) : null;
  }

  return {
    tryTake,
    async take(party, signal, asked = 1) {
      if (signal.aborted) return null;
      const weight = Math.min(asked, count);
      const leave = tryTake(party, weight);
      if (leave !== null) return leave;
      return new Promise((end) => {
        const giveUp = () => {
          waiting.delete(waiter);
          end(null);
          letIn();
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
