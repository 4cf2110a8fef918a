/** Limits repeated lines about trouble: what a part reports again and again, as while Redis is away, is logged once a minute. */

/** The same trouble of a part is logged at most this often. */
const againMs = 60_000;
/** Troubles that are remembered: about a dozen parts have a few each. */
const maxRemembered = 200;

type Troubles = {
  /** @returns how many lines with the same message were held back since the last; null when this one is held back too */
  weigh(part: string, message: string): number | null;
};

export function makeTroubles(now: () => number): Troubles {
  /** By part and message: while Redis comes and goes, several messages of a part take turns. */
  const last = new Map<string, { readonly at: number; held: number }>();
  return {
    weigh(part, message) {
      const trouble = JSON.stringify([part, message]);
      const said = last.get(trouble);
      if (said !== undefined && now() - said.at < againMs) {
        said.held += 1;
        return null;
      }
      if (last.size >= maxRemembered) last.clear();
      last.set(trouble, { at: now(), held: 0 });
      return said?.held ?? 0;
    },
  };
}
