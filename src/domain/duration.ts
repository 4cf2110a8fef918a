/** Durations as settings write them: `500ms`, `30s`, `5m`, `24h`, `7d`. */

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @returns milliseconds; null when it is no duration */
export function parseDuration(text: string): number | null {
  const [, count, unit = ''] = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text) ?? [];
  return count === undefined ? null : Number(count) * (unitMs[unit] ?? 1);
}

/** The text that `parseDuration` reads, in the largest unit that fits. */
export function formatDuration(ms: number): string {
  const [unit, size] = Object.entries(unitMs).findLast(([, size]) => ms % size === 0 && ms > 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}
