/** Emails as they are remembered: created all or none, claimed for hand-over, changed only by a commit that carries its events. */
import type { Redis } from 'ioredis';
import type { Content, EmailFacts, EmailState, Files, HandOver, LoadedEmail, StoredEmail } from '../domain/email.ts';
import type { EmailEvent } from '../domain/event.ts';
import { type Lane, lanes } from '../domain/lane.ts';
import { nextDue } from '../domain/recipient.ts';
import { maxTimelineSteps, type TimelineStep } from '../domain/timeline.ts';
import { letterOf, packContent, unpackContent } from './content.ts';
import { type IdempotencyClaim, openCreate, type PriorClaim, readMet } from './email-create.ts';
import { findIds, type IndexQuery, movedPosting } from './email-index.ts';
import { changeScript, claimScript, commitScript, keepFilesScript, strikeOffScript } from './email-scripts.ts';
import { keys } from './keys.ts';
import { packEvent, packState, packStep, unpackFacts, unpackState, unpackStep } from './record.ts';

/** That an email is due at `at` (milliseconds), and not in the queue since. */
export type DueMark = { readonly id: string; readonly at: number };

export type Emails = ReturnType<typeof openEmails>;

export function openEmails(redis: Redis) {
  const readFile = (hash: string) => redis.getBuffer(keys.file(hash));

  return {
    create: openCreate(redis),

    /** What stands for an Idempotency-Key; null when it is free. */
    async prior({ scope }: IdempotencyClaim): Promise<PriorClaim | null> {
      return readMet((await redis.get(keys.idempotency(scope))) ?? '');
    },

    /** @returns null when there is no such email */
    async load(id: string): Promise<LoadedEmail | null> {
      const [fields, packed] = await Promise.all([readFields(redis, id), redis.getBuffer(keys.content(id))]);
      if (fields === null) return null;
      return { ...fields, content: packed === null ? null : await unpackContent(packed, readFile) };
    },

    /** The email without its content. */
    read: (id: string): Promise<StoredEmail | null> => readFields(redis, id),

    /** The facts of several emails, in the order asked for; null where a record is gone. */
    async facts(ids: readonly string[]): Promise<(EmailFacts | null)[]> {
      const found = await Promise.all(ids.map((id) => redis.hget(keys.email(id), 'facts')));
      return found.map((facts, index) => (facts === null ? null : unpackFacts(ids[index] ?? '', facts)));
    },

    /** The emails that fit, newest first, without content; records that are gone are left out. Null when finding them takes too long. */
    async find(query: IndexQuery): Promise<StoredEmail[] | null> {
      const ids = await findIds(redis, query);
      if (ids === null) return null;
      const found = await Promise.all(ids.map((id) => readFields(redis, id)));
      return found.filter((email) => email !== null);
    },

    /** What was done with an email since it was accepted, oldest first, and how often its transport was at fault meanwhile. */
    async timeline(id: string): Promise<{ steps: TimelineStep[]; faults: number }> {
      const fields = Object.entries(await redis.hgetall(keys.email(id)));
      const steps = fields
        .filter(([name]) => /^t\d+$/.test(name))
        .sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)))
        .map(([, json]) => unpackStep(json));
      return { steps, faults: Number(fields.find(([name]) => name === 'faults')?.[1] ?? 0) };
    },

    /** The bytes of files by their hashes. @throws when one is missing, which would make another message of it */
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

    /** Keeps fetched files, and the content that refers to them in place of the one with their URLs. */
    async keepFiles(id: string, content: Content, files: Files): Promise<void> {
      const stored = await redis.getBuffer(keys.content(id));
      if (stored === null) return;
      const args = [await packContent(content, await letterOf(stored)), ...[...files].flat()];
      await keepFilesScript(redis, [keys.content(id), keys.fileUses, ...[...files.keys()].map(keys.file)], args);
    },

    /** Marks that the body is about to leave. False when the email moved on or another hand-over stands: then nothing may be sent. */
    async claimHandOver(email: StoredEmail, handOver: HandOver): Promise<boolean> {
      return (await claimScript(redis, [keys.email(email.facts.id)], [email.version, JSON.stringify(handOver)])) === 1;
    },

    /**
     * Writes the new state, its events and a step of the timeline and clears the hand-over, atomically. False when the stored version is
     * another.
     */
    async commit(email: StoredEmail, after: Commit): Promise<boolean> {
      const names = [keys.email(email.facts.id), keys.outbox, keys.emailIndex];
      return (await commitScript(redis, names, commitArgs(email, after, ''))) === 1;
    },

    /**
     * The same for a change that a caller asked for: false also while a hand-over stands. What is due then is fed to the queue anew.
     * @param changeId tells it from another change that comes to the same state
     */
    async commitChange(email: StoredEmail, after: Commit, changeId: string): Promise<boolean> {
      const { id, lane } = email.facts;
      const names = [keys.email(id), keys.outbox, keys.emailIndex, keys.bell, keys.due(lane), keys.due('moved')];
      const args = [...commitArgs(email, after, changeId), id, nextDue(after.state) ?? ''];
      return (await changeScript(redis, names, args)) === 1;
    },

    /** Emails that are due and not in the queue yet, the longest due first: new ones of a lane, or those that a caller moved. */
    async due(set: Lane | 'moved', now: number, limit: number): Promise<DueMark[]> {
      return toMarks(await redis.zrangebyscore(keys.due(set), '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit));
    },

    /** Notes that emails have reached the queue. A mark that was made anew meanwhile stays. */
    async strikeOff(set: Lane | 'moved', marks: readonly DueMark[]): Promise<void> {
      const args = marks.flatMap(({ id, at }) => [id, at]);
      if (args.length > 0) await strikeOffScript(redis, [keys.due(set)], args);
    },

    /** How many emails wait to be fed to the queue, those scheduled for later not counted. */
    async waiting(now: number): Promise<number> {
      const counts = await Promise.all(lanes.map((lane) => redis.zcount(keys.due(lane), '-inf', now)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
  };
}

/** What a commit writes. */
export type Commit = {
  readonly state: EmailState;
  readonly events: readonly EmailEvent[];
  /** Null only counts a transport fault. */
  readonly step: TimelineStep | null;
};

function commitArgs(
  email: StoredEmail,
  { state, events, step }: Commit,
  changeId: string,
): (string | number | Buffer)[] {
  const [was, is] = movedPosting(email.facts.id, email.state, state) ?? ['', ''];
  const timeline = step === null ? '' : packStep(step);
  const packed = packState(state, email.facts);
  return [changeId, email.version, packed, timeline, maxTimelineSteps, was, is, ...events.map(packEvent)];
}

/** RESP3 answers pairs, RESP2 a flat list. */
function toMarks(rows: readonly unknown[]): DueMark[] {
  const flat = rows.flat();
  return Array.from({ length: flat.length / 2 }, (_, n) => ({ id: String(flat[2 * n]), at: Number(flat[2 * n + 1]) }));
}

async function readFields(redis: Redis, id: string): Promise<StoredEmail | null> {
  const [facts, state, version, handOver] = await redis.hmget(keys.email(id), 'facts', 'state', 'version', 'handOver');
  if (!facts || !state) return null;
  const whole = unpackFacts(id, facts);
  return {
    facts: whole,
    state: unpackState(state, whole),
    version: Number(version),
    handOver: handOver ? JSON.parse(handOver) : null,
  };
}
