/** Which troubles are worth a line: what a part says over and over, as it does while Redis is away, is said once a minute. */

/** A part that says the same again does so at most this often. */
const againMs = 60_000;
/** Parts that are remembered; there are a dozen. */
const maxParts = 100;

export type Troubles = {
  /** @returns how often the same was held back since it was last said; null when it is to be held back now */
  weigh(part: string, message: string): number | null;
};

export function makeTroubles(now: () => number): Troubles {
  const last = new Map<string, { readonly message: string; readonly at: number; held: number }>();
  return {
    weigh(part, message) {
      const said = last.get(part);
      const isNew = said?.message !== message;
      if (!isNew && now() - said.at < againMs) {
        said.held += 1;
        return null;
      }
      if (last.size >= maxParts) last.clear();
      last.set(part, { message, at: now(), held: 0 });
      return isNew ? 0 : said.held;
    },
  };
}
