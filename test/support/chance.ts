/** Chance that can be had again: every choice follows from one seed, which a test prints; `CHAOS_SEED=<seed>` chooses the same. */
import { hash, randomInt } from 'node:crypto';

export type Chance = {
  readonly seed: number;
  /** Uniform in [0, 1): the same for the same words, whatever else was asked before. */
  of(...words: readonly (string | number)[]): number;
  /** Whole, both ends inclusive. */
  between(least: number, most: number, ...words: readonly (string | number)[]): number;
};

export function openChance(story: string): Chance {
  const seed = Number(process.env.CHAOS_SEED || randomInt(2 ** 32));
  console.log(`${story}: CHAOS_SEED=${seed}`);
  return chanceOf(seed);
}

export function chanceOf(seed: number): Chance {
  const of = (...words: readonly (string | number)[]) =>
    Number.parseInt(hash('sha256', [seed, ...words].join(' ')).slice(0, 12), 16) / 2 ** 48;
  return {
    seed,
    of,
    between: (least, most, ...words) => least + Math.floor(of(...words) * (most - least + 1)),
  };
}
