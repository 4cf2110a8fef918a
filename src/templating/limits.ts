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
/** Of a search, what takes as long as to make a character, at its worst. */
const comparisonsPerCharacter = 128;
/** Characters that are searched in the time in which one is made, where nothing looks like the part. */
const searchedPerCharacter = 64;
/** Comparisons between two looks at the clock: 2 ms at their worst. */
const pieceComparisons = 4_000_000;
/** CPU time that the long searches of one render may take. */
const maxSearchMs = 50;
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
  /** Does a part of a long search. @throws when they took too long together */
  search<Found>(piece: () => Found): Found;
};

/** It runs from its opening on. @param clock in milliseconds */
export function openMeter(clock: () => number): Meter {
  let steps = 0;
  let unseen = 0;
  let searchedMs = 0;
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
    search(piece) {
      const startedAt = clock();
      const found = piece();
      searchedMs += clock() - startedAt;
      if (searchedMs > maxSearchMs) throw new LimitError(`searches too much: for more than ${maxSearchMs} ms`);
      return found;
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

/** Whether a search ends at the first place where the part is, begins at the end, or goes on to find it everywhere. */
export type Search = 'first' | 'last' | 'every';

/**
 * Counts a search, and says whether it is to be done by `cut`. What one costs is not to be told from lengths: V8 compares the part at each place
 * of the text, and of "aaabaaa" in "aaaa…" it does so as far as the middle (60,000 characters in 120,000 took 0.7 s), while most others are done
 * in no time.
 */
export function chargeSearch(context: Context, text: string, part: string): boolean {
  charge(context, (text.length + part.length) / searchedPerCharacter);
  const comparisons = Math.max(text.length - part.length + 1, 0) * part.length;
  if (context instanceof Scope) {
    context.meter.note(comparisons / comparisonsPerCharacter);
    context.meter.tick();
  }
  return comparisons > pieceComparisons;
}

/** The text without the part, cut where that was: a long search, some places at a time, with the clock in sight. */
export function cut(context: Context, text: string, part: string, search: Search): string[] {
  const timed = context instanceof Scope ? context.meter.search : null;
  const step = Math.ceil(pieceComparisons / part.length);
  const find = (from: number, to: number): number => {
    const piece = text.slice(Math.max(from, 0), to + part.length - 1);
    const look = () => (search === 'last' ? piece.lastIndexOf(part) : piece.indexOf(part));
    const at = timed === null ? look() : timed(look);
    return at < 0 ? -1 : Math.max(from, 0) + at;
  };
  if (search === 'last') {
    for (let to = text.length - part.length + 1; to > 0; to -= step) {
      const at = find(to - step, to);
      if (at >= 0) return [text.slice(0, at), text.slice(at + part.length)];
    }
    return [text];
  }
  const pieces: string[] = [];
  let begin = 0;
  for (let from = 0; from + part.length <= text.length; ) {
    const at = find(from, from + step);
    from = at < 0 ? from + step : at + part.length;
    if (at < 0) continue;
    pieces.push(text.slice(begin, at));
    begin = from;
    if (search === 'first') break;
  }
  return [...pieces, text.slice(begin)];
}
