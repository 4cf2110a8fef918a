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

/** One of a list of which only some are wanted; the item is null where it is not. */
export type Looked<Item> = { readonly id: string; readonly item: Item | null };

type WantedPage<Item> = {
  readonly page: Item[];
  readonly hasMore: boolean;
  /** The last one that was looked at, after which to continue in the direction of the request; null at the end. */
  readonly next: string | null;
};

/** The same of what is wanted of a list: `most` are looked at for one page, which may come short then, or empty. */
export async function firstWanted<Item extends { readonly id: string }>(
  looked: AsyncIterable<Looked<Item>>,
  limit: number,
  most: number,
): Promise<WantedPage<Item>> {
  const found: Item[] = [];
  let [next, count]: [string | null, number] = [null, 0];
  let hasMore = false;
  for await (const { id, item } of looked) {
    hasMore = count === most || (item !== null && found.length === limit);
    if (hasMore) break;
    if (item !== null) found.push(item);
    next = id;
    count += 1;
  }
  const page = found.toSorted((a, b) => (a.id < b.id ? 1 : -1));
  return { page, hasMore, next: hasMore ? next : null };
}
