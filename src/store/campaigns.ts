/** Campaigns as they are remembered: listed, read, and their recipients read where they stand. */
import type { Redis } from 'ioredis';
import {
  type Campaign,
  type CampaignContent,
  type CampaignState,
  campaignCounts,
  chunkSize,
  readMark,
} from '../domain/campaign.ts';
import type { Placed } from '../domain/campaign-email.ts';
import { unpackChunk } from './campaign-chunk.ts';
import { unpackOutcomes } from './campaign-outcomes.ts';
import { unpack } from './content.ts';
import { keys } from './keys.ts';

export type Campaigns = ReturnType<typeof openCampaigns>;

export function openCampaigns(redis: Redis) {
  /** The recipients of a chunk where they stand, those that left their place marked so; none when there is no such chunk. */
  async function readChunk(id: string, chunk: number): Promise<Placed[]> {
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

  return {
    /** Null when there is none. */
    async get(id: string): Promise<Campaign | null> {
      const fields = await redis.hgetall(keys.campaign(id));
      return fields.head === undefined ? null : { head: JSON.parse(fields.head), state: stateOf(fields) };
    },

    /** What its letters are made of; null when it is gone. */
    async content(id: string): Promise<CampaignContent | null> {
      const packed = await redis.hgetBuffer(keys.campaign(id), 'content');
      return packed === null ? null : JSON.parse((await unpack(packed)).toString());
    },

    chunk: readChunk,

    /** The recipient at a place; null when there is none. */
    async placed(id: string, place: number): Promise<Placed | null> {
      const chunk = await readChunk(id, Math.floor(place / chunkSize));
      return chunk.find((placed) => placed.place === place) ?? null;
    },
  };
}

function stateOf(fields: Readonly<Record<string, string>>): CampaignState {
  const time = (name: string) => (fields[name] === undefined ? null : Number(fields[name]));
  const counted = [...campaignCounts, 'recipients'] as const;
  return {
    status: fields.status as CampaignState['status'],
    scheduledAt: time('scheduledAt'),
    startedAt: time('startedAt'),
    endedAt: time('endedAt'),
    counts: Object.fromEntries(
      counted.map((name) => [name, Number(fields[`n:${name}`] ?? 0)]),
    ) as CampaignState['counts'],
    pace: fields.pace === undefined ? null : Number(fields.pace),
  };
}
