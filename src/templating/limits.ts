/** What parsing and rendering may take, whatever the template and the variables are. */
import type { Context } from 'liquidjs';
import { Scope } from './scope.ts';

/** Tags and outputs of one part. */
export const maxPlaces = 2_000;
/** Characters of one tag or output: what stands in it is evaluated as one. */
export const maxPlaceLength = 2_000;
/** How deep tags may be in one another, and loops. */
export const maxNesting = 30;
export const maxLoopNesting = 3;

/**
 * Characters that one render may make, those on the way to a result included; an item of a list counts as several. A letter of 1 MB takes
 * some 3 million.
 */
export const maxMade = 4_000_000;
/** Steps of evaluation of one render: a letter takes some hundred, a table of 1,000 rows some 50,000. */
const maxSteps = 1_000_000;
/** CPU time of one render. Steps and characters end it first, but for what costs more than they tell. */
const maxCpuMs = 150;
/** How often it is looked at the clock: in steps, and in characters, as one step may make many of them. */
const lookEvery = 256;
const lookEveryCharacters = 32_000;
/** Of a search, what takes as long as to make a character. */
const comparisonsPerCharacter = 128;
/** Characters of a rendered html, and of a text. */
export const maxLetterLength = 1024 * 1024;

/** Thrown when a limit is reached; a render's fault is what it says. */
export class LimitError extends Error {}

/** Milliseconds of CPU time of this thread: a process that has to wait for others has not done more for that. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

export type Meter = {
  tick(): void;
  /** Notes what was charged, so that the next step looks at the clock once that is much. */
  note(characters: number): void;
};

/** It runs from its opening on. @param clock in milliseconds */
export function openMeter(clock: () => number): Meter {
  let steps = 0;
  let unseen = 0;
  const endsAt = clock() + maxCpuMs;
  return {
    tick() {
      if (++steps % lookEvery !== 0 && unseen < lookEveryCharacters) return;
      unseen = 0;
      if (steps > maxSteps) throw new LimitError(`takes more than ${maxSteps} steps`);
      if (clock() > endsAt) throw new LimitError(`takes more than ${maxCpuMs} ms`);
    },
    note(characters) {
      unseen += characters;
    },
  };
}

type Iterating = Generator<unknown, unknown, unknown>;

/**
 * Runs what liquidjs evaluates: a generator that yields others, each run to its end before the one that yielded it goes on. It is liquidjs'
 * own `toValueSync` but for the meter, which thereby sees every step inside a tag or filter too.
 */
export function run(value: unknown, meter: Meter): unknown {
  if (!isIterating(value)) return value;
  let state = value.next();
  while (!state.done) {
    meter.tick();
    let inner: unknown;
    try {
      inner = run(state.value, meter);
    } catch (error) {
      state = value.throw(error);
      continue;
    }
    state = value.next(inner);
  }
  return isIterating(state.value) ? run(state.value, meter) : state.value;
}

/** As liquidjs tells a generator: its `forloop` has a `next` as well, and variables come from JSON, which has no functions. */
function isIterating(value: unknown): value is Iterating {
  if (typeof value !== 'object' || value === null) return false;
  const { next, throw: fail, return: end } = value as Partial<Iterating>;
  return typeof next === 'function' && typeof fail === 'function' && typeof end === 'function';
}

/** Counts characters as made. @throws when these are too many */
export function charge(context: Context, characters: number): void {
  context.memoryLimit.use(characters);
  if (context instanceof Scope) context.meter.note(characters);
}

/**
 * Counts a search at its worst: V8 compares the part at each place of the text, and of "aaabaaa" in "aaaa…" it does so as far as the middle.
 * 60,000 characters in 120,000 took 0.7 s.
 */
export function chargeSearch(context: Context, text: string, part: string): void {
  const places = Math.max(text.length - part.length + 1, 0);
  charge(context, (text.length + part.length) / 8 + (places * part.length) / comparisonsPerCharacter);
}
