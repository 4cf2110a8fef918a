/** A process that is ended now and then and at once replaced, until it has been often enough. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import { type Env, type Postrider, startPostrider } from './postrider.ts';
import { until } from './until.ts';

export type Mortal = {
  readonly name: string;
  readonly env: Env;
  /** How often it is ended, and how long it lives each time, milliseconds. */
  readonly lives: number;
  readonly lifeMs: readonly [least: number, most: number];
  /** Share of its ends that are a stop in good order instead of a kill. */
  readonly stops: number;
  /** Runs what ends it, alone, and is told of it. */
  end(kill: () => Promise<void>): Promise<void>;
  onStart?(process: Postrider): void;
};

/** @returns how often it was killed */
export async function liveAndDie(chance: Chance, mortal: Mortal): Promise<number> {
  const { name, env, lives, lifeMs, stops, end } = mortal;
  let kills = 0;
  for (let life = 0; life < lives; life++) {
    await using process = await startPatiently(name, env);
    mortal.onStart?.(process);
    // The one pause that is meant: how long a process lives is the chance in chaos.
    await pause(chance.between(...lifeMs, name, life));
    const isKilled = chance.of('stop', name, life) >= stops;
    if (isKilled) kills += 1;
    await end(async () => {
      process.kill(isKilled ? 'SIGKILL' : 'SIGTERM');
      await process.ended;
    });
  }
  return kills;
}

/** What finds no Redis does not start, and is started again, as any supervisor does. */
export function startPatiently(name: string, env: Env): Promise<Postrider> {
  return until(`${name} to start`, () => startPostrider(env).catch(() => undefined));
}

/** Waits for all, also when one of them fails: what they have opened is closed by then. */
export async function all<T extends readonly Promise<unknown>[]>(
  ...parts: T
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(parts);
  return Promise.all(parts) as Promise<{ [K in keyof T]: Awaited<T[K]> }>;
}

/** Lets one thing happen at a time. */
export function makeTurns(): <T>(step: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (step) => {
    const turn = last.then(step);
    last = turn.catch(() => {});
    return turn;
  };
}
