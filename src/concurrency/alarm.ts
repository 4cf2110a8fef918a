/** One timer for many points in time: a timer for each of them would be set and cleared with every message. */

type Alarm = {
  /** Rings at `at`, or earlier when an earlier time was asked for before. */
  by(at: number): void;
  off(): void;
};

/** @param ring does what is due and returns when the next work is due, in milliseconds of `now`; Infinity for never */
export function makeAlarm(now: () => number, ring: () => number): Alarm {
  let timer: NodeJS.Timeout | undefined;
  let setFor = Number.POSITIVE_INFINITY;

  function by(at: number): void {
    if (at >= setFor) return;
    clearTimeout(timer);
    setFor = at;
    timer = setTimeout(goOff, Math.max(0, at - now()));
  }

  function goOff(): void {
    setFor = Number.POSITIVE_INFINITY;
    by(ring());
  }

  return {
    by,
    off() {
      clearTimeout(timer);
      setFor = Number.POSITIVE_INFINITY;
    },
  };
}
