/**
 * What a worker leaves alone for a while, of each campaign, so that it asks nobody in a hurry. That is the whole campaign, its slices
 * that wait for a transport, or its new slices while no transport takes more.
 */
export type Rests = ReturnType<typeof makeRests>;

/** A slice that was in hand. `waitedFor`: the transport that it was set aside for; null for none. */
type Slice = { readonly campaignId: string; readonly waitedFor: string | null };

/** What one slice showed. */
type Seen = {
  readonly hasSettled: boolean;
  /** Transports that took recipients of it. */
  readonly asked: ReadonlySet<string>;
  /** Transports that could not take some. */
  readonly waitsFor: ReadonlySet<string>;
};

type Rest = {
  readonly isWhole: boolean;
  readonly isOldOnly: boolean;
  readonly resting: readonly string[];
  /** Until the first of the rests ends; infinite when there is none. */
  readonly leastMs: number;
};

/** What is held up rests this long, twice as long each time, until something of it can be sent. */
const leastRestMs = 50;
const mostRestMs = 1_000;

/** No transport has such a name. */
const [whole, newSlices, nothingElse] = ['*whole', '*new', '*nothing else'];

export function makeRests() {
  /** The one whose turn is longest ago comes first. */
  const campaigns = new Map<string, Map<string, { readonly waitMs: number; readonly until: number }>>();
  /** When a campaign last went on because a transport had sent something, for each transport. */
  const passedOnAt = new Map<string, number>();

  function rest(id: string, what: string, now: number): void {
    const rests = campaigns.get(id) ?? new Map<string, { readonly waitMs: number; readonly until: number }>();
    campaigns.set(id, rests);
    const { waitMs, until } = rests.get(what) ?? { waitMs: leastRestMs / 2, until: 0 };
    if (until > now) return;
    const longer = Math.min(mostRestMs, 2 * waitMs);
    rests.set(what, { waitMs: longer, until: now + longer });
  }

  function hadTurn(id: string): void {
    const rests = campaigns.get(id);
    if (rests === undefined) return;
    campaigns.delete(id);
    campaigns.set(id, rests);
  }

  function of(id: string, now: number): Rest {
    const waits = [...(campaigns.get(id) ?? [])].filter(([, { until }]) => until > now);
    const names = waits.map(([what]) => what);
    return {
      isWhole: names.includes(whole) || names.includes(nothingElse),
      isOldOnly: names.includes(newSlices),
      resting: names.filter((name) => !name.startsWith('*')),
      leastMs: Math.min(...waits.map(([, { until }]) => until - now)),
    };
  }

  return {
    of,

    /** Forgets all other campaigns. */
    keepOnly(ids: readonly string[]): void {
      for (const id of campaigns.keys()) if (!ids.includes(id)) campaigns.delete(id);
    },

    /**
     * A transport has sent a message of a campaign, and may have room for another: of the campaigns that rest for it, the one whose turn is longest
     * ago goes on at once, and looks often again. It stays the first until something of it is sent: a token of a low rate may come only later. Not
     * more often than they look themselves: each look has its cost.
     * @returns whether one goes on
     */
    sent(id: string, name: string, now: number): boolean {
      hadTurn(id);
      if (now < (passedOnAt.get(name) ?? Number.NEGATIVE_INFINITY) + leastRestMs) return false;
      for (const rests of campaigns.values()) {
        const own = rests.get(name);
        if (own === undefined || own.until <= now) continue;
        rests.set(name, { waitMs: leastRestMs / 2, until: now });
        rests.delete(nothingElse);
        passedOnAt.set(name, now);
        return true;
      }
      return false;
    },

    /** The whole campaign rests. */
    whole: (id: string, now: number): void => rest(id, whole, now),

    /**
     * Redis had nothing of it but what rests. Until the first of these rests ends, or a slice in hand shows something, all of it rests: with many
     * such campaigns, each round would ask about every one of them.
     */
    nothingElse(id: string, now: number): void {
      const { leastMs } = of(id, now);
      if (Number.isFinite(leastMs)) campaigns.get(id)?.set(nothingElse, { waitMs: leastMs, until: now + leastMs });
    },

    learn({ campaignId: id, waitedFor }: Slice, { hasSettled, asked, waitsFor }: Seen, now: number): void {
      const rests = campaigns.get(id);
      rests?.delete(nothingElse);
      if (hasSettled) rests?.delete(whole);
      for (const name of asked) rests?.delete(name);
      const isSomeFree = [...asked].some((name) => !waitsFor.has(name));
      if (isSomeFree || (asked.size > 0 && waitedFor === null)) rests?.delete(newSlices);
      for (const name of waitsFor) rest(id, name, now);
      // A slice that was set aside tells only of the transports that it waits for.
      if (waitsFor.size > 0 && !isSomeFree && waitedFor === null) rest(id, newSlices, now);
    },
  };
}
