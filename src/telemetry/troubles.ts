/** Limits repeated lines about trouble: what a part reports again and again, as while Redis is away, is logged once a minute. */

/** The same trouble of a part is logged at most this often. */
const againMs = 60_000;
/** Parts that are remembered; there are about a dozen. */
const maxParts = 100;

type Troubles = {
  /** @returns how many lines with the same message were held back since the last; null when this one is held back too */
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
