/** Rates: how often something may happen, such as `14/s` or `500/m,5000/h`, and what is left of a rate. */

/** At most `count` in each window. */
export type Rate = { readonly count: number; readonly windowMs: number };

/** The units of a rate. `name` is the name of its window in answers. */
const units = [
  { unit: 's', windowMs: 1_000, name: 'second' },
  { unit: 'm', windowMs: 60_000, name: 'minute' },
  { unit: 'h', windowMs: 3_600_000, name: 'hour' },
  { unit: 'd', windowMs: 86_400_000, name: 'day' },
] as const;

/** Far more than one Redis can count in any window, and exact in every language that reads it. */
const maxCount = 1_000_000_000;

/** Characters of a list of rates, which has four at most. */
const maxTextLength = 200;

/** Reads rates separated by commas, the shortest window first. @returns them, or every fault as a sentence */
export function parseRates(text: string): readonly Rate[] | { readonly faults: string[] } {
  if (text.length > maxTextLength) return { faults: [`is over ${maxTextLength} characters`] };
  const faults: string[] = [];
  const rates: Rate[] = [];
  for (const part of text.split(',').map((part) => part.trim())) {
    const rate = parseRate(part);
    if (rate === null) {
      faults.push(
        `has a rate that cannot be read: ${part.slice(0, 40)} (expected a count from 1 and a unit, such as 14/s)`,
      );
    } else if (rates.some(({ windowMs }) => windowMs === rate.windowMs)) {
      faults.push(`has two rates per ${windowName(rate)}`);
    } else rates.push(rate);
  }
  return faults.length > 0 ? { faults } : rates.toSorted((a, b) => a.windowMs - b.windowMs);
}

function parseRate(text: string): Rate | null {
  const [, digits, letter] = /^(\d{1,10})\/([smhd])$/.exec(text) ?? [];
  const found = units.find(({ unit }) => unit === letter);
  const count = Number(digits);
  return found === undefined || count < 1 || count > maxCount ? null : { count, windowMs: found.windowMs };
}

/** The text that `parseRates` reads. */
export function formatRates(rates: readonly Rate[]): string {
  return rates.map((rate) => `${rate.count}/${unitOf(rate)?.unit}`).join(',');
}

/** `second`, `minute`, `hour` or `day`. */
export function windowName(rate: Rate): string {
  return unitOf(rate)?.name ?? `${rate.windowMs} ms`;
}

function unitOf(rate: Rate) {
  return units.find(({ windowMs }) => windowMs === rate.windowMs);
}

/** Whether keeping to `rates` also keeps to `limit`: 8/s is within 500/m, 10/s is not. */
export function keepsTo(rates: readonly Rate[] | null, limit: Rate): boolean {
  const most = (rate: Rate) => rate.count * Math.max(1, limit.windowMs / rate.windowMs);
  return rates?.some((rate) => most(rate) <= limit.count) ?? false;
}

/** A rate with what is left of its current window. */
export type WindowLeft = Rate & {
  readonly remaining: number;
  /** Milliseconds until the window ends and the whole count is available again. */
  readonly resetMs: number;
};

/** For each length of window the tightest one, the shortest first. */
export function tightestOfEach(windows: readonly WindowLeft[]): WindowLeft[] {
  const found = new Map<number, WindowLeft>();
  for (const window of windows) {
    const other = found.get(window.windowMs);
    found.set(window.windowMs, other === undefined ? window : tightest([other, window]));
  }
  return [...found.values()].toSorted((a, b) => a.windowMs - b.windowMs);
}

/** The window that will be used up first: the one with the least left; of several, the one with the longest wait. */
export function tightest(windows: readonly [WindowLeft, ...WindowLeft[]]): WindowLeft {
  return windows.reduce((tight, window) =>
    window.remaining < tight.remaining || (window.remaining === tight.remaining && window.resetMs > tight.resetMs)
      ? window
      : tight,
  );
}
