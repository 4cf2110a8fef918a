/** Limits repeated lines about trouble: what a part reports again and again, as while Redis is away, is logged once a minute. */

/** The same trouble of a part is logged at most this often. */
const againMs = 60_000;
/**
 * Troubles that are remembered of parts, and as many of what met them: about a dozen parts have a few each, while each email that meets one
 * makes it another. They are apart, as many such emails would push out those of parts.
 */
const maxRemembered = 1_000;
/** Characters of a message that are compared, so that memory is limited. */
const maxCompared = 500;

type Troubles = {
  /**
   * @param fields of what met it
   * @returns how many of the same were held back since the last; null when this one is held back too
   */
  weigh(part: string, message: string, fields?: Readonly<Record<string, unknown>>): number | null;
};

/** The one said longest ago comes first. While Redis comes and goes, several messages of a part take turns. */
type Remembered = Map<string, { readonly at: number; held: number }>;

export function makeTroubles(now: () => number): Troubles {
  const ofParts: Remembered = new Map();
  const ofWhatMetThem: Remembered = new Map();
  return {
    weigh(part, message, fields = {}) {
      const last = Object.keys(fields).length === 0 ? ofParts : ofWhatMetThem;
      const trouble = JSON.stringify([part, fields, message.slice(0, maxCompared)]);
      const said = last.get(trouble);
      if (said !== undefined && now() - said.at < againMs) {
        said.held += 1;
        return null;
      }
      last.delete(trouble);
      last.set(trouble, { at: now(), held: 0 });
      const [oldest = ''] = last.keys();
      if (last.size > maxRemembered) last.delete(oldest);
      return said?.held ?? 0;
    },
  };
}
