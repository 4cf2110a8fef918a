/** Medians over the rounds of a run. */

/** Of figures of the same round, so that a machine that slows down slows down both. */
export function ratio<Round>(
  rounds: readonly Round[],
  ours: (round: Round) => number,
  limit: (round: Round) => number,
): string {
  return median(rounds, (round) => ours(round) / limit(round)).toFixed(2);
}

export function median<Round>(rounds: readonly Round[], pick: (round: Round) => number): number {
  const sorted = rounds.map(pick).sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}
