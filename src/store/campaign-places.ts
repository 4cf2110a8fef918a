/** Reads the recipients of campaigns: their places, the mark of each, and what became of those that are done. */
import type { Redis } from 'ioredis';
import { chunkSize, type PlaceMark, readMark } from '../domain/campaign.ts';
import type { Placed } from '../domain/campaign-email.ts';
import { unpackChunk } from './campaign-chunk.ts';
import { unpackOutcomes } from './campaign-outcomes.ts';
import { keys } from './keys.ts';

/** Null for the end of the list. */
type PlaceCursor = { readonly from: number | null; readonly isUp: boolean };

/** Marks that are looked through at a time: whole chunks of them. */
const markPiece = 100 * chunkSize;

export function openCampaignPlaces(redis: Redis) {
  /** The recipients of a chunk with their marks, including those that left their place; none when there is no such chunk. */
  async function chunkOf(id: string, chunk: number): Promise<Placed[]> {
    const first = chunk * chunkSize;
    const [packed, marks, groups] = await Promise.all([
      redis.getBuffer(keys.campaignChunk(id, chunk)),
      redis.getrange(keys.campaignMarks(id), first, first + chunkSize - 1),
      redis.lrangeBuffer(keys.campaignOutcomes(id, chunk), 0, -1),
    ]);
    if (packed === null) return [];
    const outcomes = new Map(groups.flatMap(unpackOutcomes).map((outcome) => [outcome.place, outcome]));
    return unpackChunk(packed).flatMap((row, n) => {
      const [place, mark] = [first + n, readMark(marks[n] ?? '')];
      return mark === 'absent' ? [] : [{ place, row, mark, outcome: outcomes.get(place) ?? null }];
    });
  }

  /** Chunks from a place on that have a wanted mark: only marks are read, no chunk is unpacked. */
  async function* chunksWith(id: string, from: number, isWanted: (mark: PlaceMark) => boolean): AsyncGenerator<number> {
    for (let at = from; ; at += markPiece) {
      const marks = await redis.getrange(keys.campaignMarks(id), at, at + markPiece - 1);
      if (marks === '') return;
      for (let n = 0; n < marks.length; n += chunkSize) {
        const those = new Set(marks.slice(n, n + chunkSize));
        if ([...those].some((byte) => isWanted(readMark(byte)))) yield (at + n) / chunkSize;
      }
    }
  }

  return {
    chunk: chunkOf,

    /** The recipient at a place; null when there is none. */
    async at(id: string, place: number): Promise<Placed | null> {
      const chunk = await chunkOf(id, Math.floor(place / chunkSize));
      return chunk.find((placed) => placed.place === place) ?? null;
    },

    /** Places with a wanted mark: those before `from`, last first; with `isUp` those after `from`, first first. No chunk is unpacked. */
    async *places(
      id: string,
      { from, isUp }: PlaceCursor,
      isWanted: (mark: PlaceMark) => boolean,
    ): AsyncGenerator<number> {
      const end = await redis.strlen(keys.campaignMarks(id));
      let at = from ?? (isUp ? -1 : end);
      while (isUp ? at + 1 < end : at > 0) {
        const first = isUp ? at + 1 : Math.max(0, at - markPiece);
        const last = isUp ? Math.min(end, first + markPiece) - 1 : at - 1;
        const marks = await redis.getrange(keys.campaignMarks(id), first, last);
        for (let n = 0; n < marks.length; n++) {
          const place = isUp ? first + n : last - n;
          if (isWanted(readMark(marks[place - first] ?? ''))) yield place;
        }
        at = isUp ? last : first;
      }
    },

    /** Recipients with a wanted mark from a place on, in order, some at a time. */
    async *placed(id: string, from: number, isWanted: (mark: PlaceMark) => boolean): AsyncGenerator<Placed[]> {
      const start = from - (from % chunkSize);
      for await (const chunk of chunksWith(id, start, isWanted)) {
        const all = await chunkOf(id, chunk);
        yield all.filter(({ place, mark }) => place >= from && isWanted(mark));
      }
    },
  };
}
