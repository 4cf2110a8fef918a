/** Reads of stored emails: whole to send them, without content to show them, and their facts, timelines and files. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import {
  type Content,
  type EmailFacts,
  type EmailInHand,
  type Files,
  isHeavy,
  type LoadedEmail,
  type StoredEmail,
  statusOf,
  type Unreadable,
  unreadable,
} from '../domain/email.ts';
import type { Timeline } from '../domain/timeline.ts';
import { factsAtPlaces } from './campaign-facts.ts';
import { unpackContent, weightAhead } from './content.ts';
import { findIds, type IndexQuery } from './email-index.ts';
import { factsScript, loadScript } from './email-scripts.ts';
import { keys } from './keys.ts';
import { unpackFacts, unpackState, unpackStep } from './record.ts';

export function openEmailReads(redis: Redis) {
  const readFile = (hash: string) => redis.getBuffer(keys.file(hash));
  const readFacts = makeGroup((members: readonly FactsMember[]) => readFactsOf(redis, members));

  async function withContent(email: StoredEmail, read: Buffer | null): Promise<EmailInHand> {
    if (read === null) return { ...email, content: null };
    const weight = weightAhead(read);
    return { ...email, content: weight === null ? await unpackContent(read, readFile) : { weight } };
  }

  /** The content of an email; null once it has been dropped. */
  async function content(id: string): Promise<Content | Unreadable | null> {
    const packed = await redis.getBuffer(keys.content(id));
    return packed === null ? null : unpackContent(packed, readFile);
  }

  /**
   * Loads emails, with their content if it is light, in the order asked for; null for a record that is gone or unreadable. One round trip.
   * @param onDamaged called for a record that cannot be read; what it throws is thrown
   */
  async function loadAll(
    ids: readonly string[],
    onDamaged: (id: string, error: unknown) => void,
  ): Promise<(EmailInHand | null)[]> {
    const names = ids.flatMap((id) => [keys.email(id), keys.content(id)]);
    const stored = (await loadScript(redis, names, [])) as (Buffer | null)[];
    const read = ids.map((id, n) => {
      try {
        return unpackFields(
          id,
          stored.slice(5 * n, 5 * n + 4).map((field) => field?.toString()),
        );
      } catch (error) {
        onDamaged(id, error);
        return null;
      }
    });
    return Promise.all(read.map((email, n) => email && withContent(email, stored[5 * n + 4] ?? null)));
  }

  return {
    loadAll,
    content,

    /** @returns null when there is no such email */
    async load(id: string): Promise<LoadedEmail | null> {
      const [email = null] = await loadAll([id], rethrow);
      if (email === null) return null;
      const found = isHeavy(email.content) ? await content(id) : email.content;
      return { ...email, content: found === unreadable ? null : found };
    },

    /** The email without its content. */
    read: (id: string): Promise<StoredEmail | null> => readFields(redis, id),

    /** The id of the last change that a caller asked for; null for none. */
    lastChange: (id: string): Promise<string | null> => redis.hget(keys.email(id), 'change'),

    /** The facts of emails, by id; records that are gone or unreadable are left out. Emails at their place have the facts of their campaign. */
    async facts(ids: readonly string[]): Promise<ReadonlyMap<string, EmailFacts>> {
      const found = await Promise.all(ids.map((id) => readFacts({ id, claim: null, bytes: id.length })));
      const placed = ids.filter((_, n) => found[n] === null);
      const known = new Map(await factsAtPlaces(redis, placed));
      for (const [n, id] of ids.entries()) {
        const facts = found[n] ?? null;
        if (facts === null) continue;
        try {
          known.set(id, unpackFacts(id, facts));
        } catch {} // the other emails go on
      }
      return known;
    },

    /**
     * The emails that fit, at most `limit` next to the cursor, newest first, without content. Those that went to another status, or are gone, since
     * the index was asked are left out; if that leaves none, it goes on behind them. Null when finding them takes too long.
     */
    async find(query: IndexQuery): Promise<EmailPage | null> {
      const { limit } = query;
      const isTowardsNewer = query.cursor?.side === 'newer';
      for (let { cursor } = query; ; ) {
        const ids = await findIds(redis, { ...query, cursor, limit: limit + 1 });
        if (ids === null) return null;
        const hasMore = ids.length > limit;
        const within = isTowardsNewer ? ids.slice(-limit) : ids.slice(0, limit);
        const found = await Promise.all(within.map((id) => readFields(redis, id)));
        const emails = found.filter((email) => email !== null).filter((email) => hasStatusOf(query, email));
        const farthest = within.at(isTowardsNewer ? 0 : -1);
        if (emails.length > 0 || !hasMore || farthest === undefined) return { emails, hasMore };
        cursor = { side: isTowardsNewer ? 'newer' : 'older', id: farthest };
      }
    },

    /** The timeline of an email, oldest step first. */
    async timeline(id: string): Promise<Timeline> {
      const { faults = 0, dropped = 0, ...fields } = await redis.hgetall(keys.email(id));
      const steps = Object.entries(fields)
        .filter(([name]) => /^t\d+$/.test(name))
        .sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)))
        .map(([, json]) => unpackStep(json));
      return { steps, dropped: Number(dropped), faults: Number(faults) };
    },

    /** The bytes of files by their hashes. @throws when one is missing: the message would not be the same */
    async files(hashes: readonly string[]): Promise<Files> {
      const found = await Promise.all(hashes.map(readFile));
      return new Map(
        hashes.map((hash, index): [string, Buffer] => {
          const bytes = found[index];
          if (bytes === null || bytes === undefined) throw new Error(`file ${hash} is missing`);
          return [hash, bytes];
        }),
      );
    },
  };
}

/** Some of the emails that fit. `hasMore`: whether others lie beyond them, as seen from the cursor. */
export type EmailPage = { readonly emails: readonly StoredEmail[]; readonly hasMore: boolean };

/** Whether it still has a status that was asked for. */
function hasStatusOf({ groups }: IndexQuery, { state }: StoredEmail): boolean {
  const statuses = groups.flat().filter(([kind]) => kind === 'status');
  return statuses.length === 0 || statuses.some(([, status]) => status === statusOf(state));
}

type FactsMember = Member & { readonly id: string };

/** @returns the facts as they are stored; null where there is no record, or where its key holds something else */
async function readFactsOf(redis: Redis, members: readonly FactsMember[]): Promise<(string | null)[]> {
  const names = members.map(({ id }) => keys.email(id));
  return (await factsScript(redis, names, [])) as (string | null)[];
}

function rethrow(_id: string, error: unknown): never {
  throw error;
}

async function readFields(redis: Redis, id: string): Promise<StoredEmail | null> {
  return unpackFields(id, await redis.hmget(keys.email(id), 'facts', 'state', 'version', 'handOver'));
}

function unpackFields(id: string, fields: readonly (string | null | undefined)[]): StoredEmail | null {
  const [facts, state, version, handOver] = fields;
  if (!facts || !state) return null;
  const whole = unpackFacts(id, facts);
  return {
    facts: whole,
    state: unpackState(state, whole),
    version: Number(version),
    handOver: handOver ? JSON.parse(handOver) : null,
  };
}
