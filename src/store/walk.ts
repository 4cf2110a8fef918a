/** Walks lists in a sorted set with entries `<id>` or `<id>.<more>` and score 0: in the order of their ids, which sort by time. */
import type { Redis } from 'ioredis';

/** The part of a list: entries older than `after`, or else the entries next to `before` that are newer. */
export type Cursor = { readonly after?: string | undefined; readonly before?: string | undefined };

export type PageRequest = Cursor & { readonly limit: number };

/** Entries in chunks: newest first from `after` on, or oldest first from `before` on. */
export async function* walk(
  redis: Redis,
  name: string,
  { after, before }: Cursor,
  chunkSize: number,
): AsyncGenerator<string[]> {
  const isUpwards = after === undefined && before !== undefined;
  let edge = isUpwards ? `(${before}/` : after === undefined ? '+' : `(${after}`;
  for (;;) {
    const entries = isUpwards
      ? await redis.zrangebylex(name, edge, '+', 'LIMIT', 0, chunkSize)
      : await redis.zrevrangebylex(name, edge, '-', 'LIMIT', 0, chunkSize);
    if (entries.length > 0) yield entries;
    if (entries.length < chunkSize) return;
    edge = `(${entries.at(-1)}`;
  }
}

/** The first `limit` of what is walked, newest first; `hasMore` looks onwards in the direction of the request. */
export async function firstOf<Item extends { readonly id: string }>(
  items: AsyncIterable<Item>,
  limit: number,
): Promise<{ page: Item[]; hasMore: boolean }> {
  const found: Item[] = [];
  for await (const item of items) {
    found.push(item);
    if (found.length > limit) break;
  }
  const page = found.slice(0, limit).toSorted((a, b) => (a.id < b.id ? 1 : -1));
  return { page, hasMore: found.length > limit };
}
