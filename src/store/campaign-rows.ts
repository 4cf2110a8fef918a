/** Reads the recipients of a campaign, a slice at a time, and keeps the last chunks that were read. */
import type { Redis } from 'ioredis';
import { type CampaignRow, chunkSize, sliceSize } from '../domain/campaign.ts';
import { type Kept, keptOr } from '../domain/kept.ts';
import { unpackChunk } from './campaign-chunk.ts';
import { keys } from './keys.ts';

type Rows = readonly (CampaignRow | undefined)[];

/** Chunks kept in memory: each has ten slices. */
const maxChunks = 16;

/** @returns a function that reads the recipients of a slice; undefined at places without one, or whose recipient cannot be read */
export function openCampaignRows(redis: Redis) {
  const chunks: Kept<Rows> = new Map();

  return async ({ campaignId, slice }: { readonly campaignId: string; readonly slice: number }): Promise<Rows> => {
    const first = slice * sliceSize;
    const name = keys.campaignChunk(campaignId, Math.floor(first / chunkSize));
    const rows = await keptOr(chunks, name, maxChunks, () => readChunk(redis, name));
    return Array.from({ length: sliceSize }, (_, n) => rows[(first % chunkSize) + n]);
  };
}

/** Undefined where a recipient cannot be read. */
async function readChunk(redis: Redis, name: string): Promise<Rows> {
  const packed = await redis.getBuffer(name);
  if (packed === null) return [];
  try {
    return unpackChunk(packed).map((row) => (typeof row.address === 'string' ? row : undefined));
  } catch {
    return []; // it is damaged, or of a form that this version does not know
  }
}
