/** Limits of parsing and rendering, whatever the template and the variables are. */
import type { Context } from 'liquidjs';
import { Scope } from './scope.ts';

/** Tags and outputs of one part. */
export const maxPlaces = 2_000;
/** Characters of one tag or output, which is evaluated in one step. */
export const maxPlaceLength = 2_000;
/** How deep tags and loops may be nested. */
export const maxNesting = 30;
export const maxLoopNesting = 3;

/**
 * Characters that one render may make, intermediate results included. An item of a list counts as several. A letter of 1 MB takes about 3
 * million.
 */
export const maxMade = 4_000_000;
/** Evaluation steps of one render: a letter takes some hundred, a table of 1,000 rows about 50,000. */
const maxSteps = 1_000_000;
/** CPU time of one render. Steps and characters usually end it first; this limit is for work that costs more than they show. */
const maxCpuMs = 150;
/** How often the clock is read: every so many steps, and every so many characters, as one step may make many of them. */
const lookEvery = 256;
const lookEveryCharacters = 32_000;
/** Comparisons of a search that take as long, at worst, as making one character. */
const comparisonsPerCharacter = 128;
/** Characters searched in the time of making one, when nothing looks like the part. */
const searchedPerCharacter = 64;
/** Comparisons between two looks at the clock: 2 ms at worst. */
const pieceComparisons = 4_000_000;
/** CPU time that the long searches of one render may take together. */
const maxSearchMs = 50;
/** Characters of a rendered html, and of a rendered text. */
export const maxLetterLength = 1024 * 1024;

/** Thrown when a limit is reached. Its message becomes the fault of the render. */
export class LimitError extends Error {}

export type Meter = {
  tick(): void;
  /** Records charged characters, so that the next step reads the clock when there are many. */
  note(characters: number): void;
  /** Runs one piece of a long search. @throws when the long searches took too long together */
  search<Found>(piece: () => Found): Found;
};

/**
 * The meter runs from now on.
 * @param clock in milliseconds
 */
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
 * Runs what liquidjs evaluates: a generator that yields others, each run to its end before its parent continues. This is liquidjs' own
 * `toValueSync` with a meter, which sees every step inside a tag or filter too.
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

/**
 * Recognises a generator as liquidjs does. `next` alone is not enough: its `forloop` has one too. Variables come from JSON, so they have no
 * functions.
 */
function isIterating(value: unknown): value is Iterating {
  if (typeof value !== 'object' || value === null) return false;
  const { next, throw: fail, return: end } = value as Partial<Iterating>;
  return typeof next === 'function' && typeof fail === 'function' && typeof end === 'function';
}

/** Counts characters as made. @throws when there are too many */
export function charge(context: Context, characters: number): void {
  context.memoryLimit.use(characters);
  if (context instanceof Scope) context.meter.note(characters);
}

/** Whether a search needs the first occurrence, the last one, or every one. */
export type Search = 'first' | 'last' | 'every';

/**
 * Counts a search, and says whether it must be done by `cut`. Its cost cannot be known from the lengths: V8 compares the part at each place of
 * the text. Searching "aaabaaa" in "aaaa…" it compares up to the middle each time (60,000 characters in 120,000 took 0.7 s); most other searches
 * take almost no time.
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

/** Splits the text at the part: a long search, done a few places at a time, with a look at the clock in between. */
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
