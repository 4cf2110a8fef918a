/** Emails as they are remembered: created once, claimed for hand-over, changed only by a commit that carries its events. */
import type { Redis } from 'ioredis';
import type { EmailFacts, EmailState, HandOver, LoadedEmail, NewEmail, StoredEmail } from '../domain/email.ts';
import type { EmailEvent } from '../domain/event.ts';
import { packContent, unpackContent } from './content.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** An Idempotency-Key in its scope, with the hash of the body it came with. */
export type IdempotencyClaim = { readonly scope: string; readonly bodyHash: string };

export type PriorAnswer = { readonly bodyHash: string; readonly id: string };

export type Emails = ReturnType<typeof openEmails>;

const idempotencyMs = 24 * 3_600_000;
/** Ids that reached the queue are struck off together, this long after the first of them. */
const strikeOffAfterMs = 20;

/** KEYS email content idempotency unqueued outbox; ARGV facts state content now id event claim ttl. Answers the earlier claim, or nil. */
const createScript = script(`
if ARGV[7] ~= '' then
  local prior = redis.call('GET', KEYS[3])
  if prior then return prior end
  redis.call('SET', KEYS[3], ARGV[7], 'PX', ARGV[8])
end
redis.call('HSET', KEYS[1], 'facts', ARGV[1], 'state', ARGV[2], 'version', 1)
redis.call('SET', KEYS[2], ARGV[3])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[5])
redis.call('XADD', KEYS[5], '*', 'event', ARGV[6])
return nil`);

/**
 * KEYS email; ARGV version handOver. Answers 1 when the claim is ours. A command whose answer was lost with its connection is sent again
 * by the client, so here and below a repeat of what was done is answered as it was the first time.
 */
const claimScript = script(`
local stored = redis.call('HMGET', KEYS[1], 'version', 'handOver')
if stored[2] == ARGV[2] then return 1 end
if stored[1] ~= ARGV[1] or stored[2] then return 0 end
redis.call('HSET', KEYS[1], 'handOver', ARGV[2])
return 1`);

/** KEYS email outbox; ARGV version state event... Answers 1 when the version was still the one decided upon. */
const commitScript = script(`
local stored = redis.call('HMGET', KEYS[1], 'version', 'state')
if stored[1] ~= ARGV[1] then return tonumber(stored[1]) == ARGV[1] + 1 and stored[2] == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'version', ARGV[1] + 1)
redis.call('HDEL', KEYS[1], 'handOver')
for i = 3, #ARGV do redis.call('XADD', KEYS[2], '*', 'event', ARGV[i]) end
return 1`);

export function openEmails(redis: Redis) {
  let struckOff: string[] = [];
  let timer: NodeJS.Timeout | undefined;

  function strikeOff(): void {
    const ids = struckOff;
    struckOff = [];
    timer = undefined;
    // Losing this costs a needless look by sweep, so nobody waits for it.
    if (ids.length > 0) redis.zrem(keys.unqueued, ...ids).catch(() => {});
  }

  return {
    /**
     * Stores an email, its content and its first event, and claims the Idempotency-Key, in one atomic step.
     * @returns the earlier answer when the key was claimed before; nothing is stored then
     */
    async create(email: NewEmail, claim: IdempotencyClaim | null): Promise<PriorAnswer | null> {
      const { facts, state, content, event } = email;
      const { id } = facts;
      const claimed: PriorAnswer | null = claim && { bodyHash: claim.bodyHash, id };
      const prior = await createScript(
        redis,
        [keys.email(id), keys.content(id), keys.idempotency(claim?.scope ?? ''), keys.unqueued, keys.outbox],
        [
          JSON.stringify(facts),
          JSON.stringify(state),
          await packContent(content),
          facts.createdAt,
          id,
          JSON.stringify(event),
          claimed === null ? '' : JSON.stringify(claimed),
          idempotencyMs,
        ],
      );
      return typeof prior === 'string' ? JSON.parse(prior) : null;
    },

    /** @returns null when there is no such email */
    async load(id: string): Promise<LoadedEmail | null> {
      const [fields, packed] = await Promise.all([readFields(redis, id), redis.getBuffer(keys.content(id))]);
      if (fields === null) return null;
      return { ...fields, content: packed === null ? null : await unpackContent(packed) };
    },

    /** The email without its content. */
    read: (id: string): Promise<StoredEmail | null> => readFields(redis, id),

    /** The facts of several emails, in the order asked for; null where a record is gone. */
    async facts(ids: readonly string[]): Promise<(EmailFacts | null)[]> {
      const found = await Promise.all(ids.map((id) => redis.hget(keys.email(id), 'facts')));
      return found.map((facts) => (facts === null ? null : JSON.parse(facts)));
    },

    /** Marks that the body is about to leave. False when the email moved on or another hand-over stands: then nothing may be sent. */
    async claimHandOver(email: StoredEmail, handOver: HandOver): Promise<boolean> {
      return (await claimScript(redis, [keys.email(email.facts.id)], [email.version, JSON.stringify(handOver)])) === 1;
    },

    /** Writes the new state and its events and clears the hand-over, atomically. False when the stored version is another. */
    async commit(email: StoredEmail, state: EmailState, events: readonly EmailEvent[]): Promise<boolean> {
      const args = [email.version, JSON.stringify(state), ...events.map((event) => JSON.stringify(event))];
      return (await commitScript(redis, [keys.email(email.facts.id), keys.outbox], args)) === 1;
    },

    /** Notes, soon and without waiting, that an email has reached the queue. */
    markQueued(ids: readonly string[]): void {
      struckOff.push(...ids);
      timer ??= setTimeout(strikeOff, strikeOffAfterMs);
    },

    /** Emails stored before `olderThan` (milliseconds) that are not known to be queued, oldest first. */
    unqueued: (olderThan: number, limit: number): Promise<string[]> =>
      redis.zrangebyscore(keys.unqueued, '-inf', olderThan, 'LIMIT', 0, limit),

    async [Symbol.asyncDispose](): Promise<void> {
      clearTimeout(timer);
      strikeOff();
    },
  };
}

async function readFields(redis: Redis, id: string): Promise<StoredEmail | null> {
  const [facts, state, version, handOver] = await redis.hmget(keys.email(id), 'facts', 'state', 'version', 'handOver');
  if (!facts || !state) return null;
  return {
    facts: JSON.parse(facts),
    state: JSON.parse(state),
    version: Number(version),
    handOver: handOver ? JSON.parse(handOver) : null,
  };
}
