/** Emails as they are remembered: created all or none, claimed for hand-over, changed only by a commit that carries its events. */
import type { Redis } from 'ioredis';
import type {
  Content,
  EmailFacts,
  EmailState,
  Files,
  HandOver,
  LoadedEmail,
  NewEmail,
  StoredEmail,
} from '../domain/email.ts';
import type { EmailEvent } from '../domain/event.ts';
import { type Lane, lanes } from '../domain/lane.ts';
import { nextDue } from '../domain/recipient.ts';
import { maxTimelineSteps, type TimelineStep } from '../domain/timeline.ts';
import { makePacker, packContent, unpackContent } from './content.ts';
import { findIds, type IndexQuery, movedPosting, postingsOf } from './email-index.ts';
import {
  changeScript,
  claimScript,
  commitScript,
  createScript,
  keepFilesScript,
  strikeOffScript,
} from './email-scripts.ts';
import { type Member, makeGroup } from './group.ts';
import { keys } from './keys.ts';
import { packEvent, packFacts, packState, packStep, unpackFacts, unpackState, unpackStep } from './record.ts';

/** An Idempotency-Key in its scope, with the hash of the body it came with. */
export type IdempotencyClaim = { readonly scope: string; readonly bodyHash: string };

/** An email to store, with the claim that comes with it alone. */
export type Submission = { readonly email: NewEmail; readonly claim: IdempotencyClaim | null };

/** That an email is due at `at` (milliseconds), and not in the queue since. */
export type DueMark = { readonly id: string; readonly at: number };

/** What an earlier request under the same key led to; ids in its order, '' for an email that was refused. */
export type PriorClaim = { readonly bodyHash: string; readonly ids: readonly string[] };

export type Created =
  /** For each email, the claim it met; null where it was stored. */
  | { readonly kind: 'stored'; readonly met: readonly (PriorClaim | null)[] }
  /** A claim that was met came with another body, and nothing was to be stored then. */
  | { readonly kind: 'refused'; readonly met: readonly (PriorClaim | null)[] }
  /** The whole batch had been claimed before. */
  | { readonly kind: 'repeated'; readonly prior: PriorClaim };

export type Emails = ReturnType<typeof openEmails>;

const idempotencyMs = 24 * 3_600_000;

export function openEmails(redis: Redis) {
  const createInGroup = makeGroup((members: readonly NewMember[]) => createMembers(redis, members));

  return {
    /**
     * Stores emails with their content, files and first events, and claims their Idempotency-Keys, in one atomic step.
     * @param submissions null for an email that was refused before, whose place in the batch is kept
     * @param isStrict store nothing when a claim that is met came with another body
     */
    async create(
      submissions: readonly (Submission | null)[],
      { batchClaim, isStrict, now }: { batchClaim: IdempotencyClaim | null; isStrict: boolean; now: number },
    ): Promise<Created> {
      const [only] = submissions;
      if (submissions.length === 1 && only && batchClaim === null && only.email.files.size === 0) {
        const met = await createInGroup(await memberOf(only, now));
        const isRefused = isStrict && met !== null && met.bodyHash !== only.claim?.bodyHash;
        return { kind: isRefused ? 'refused' : 'stored', met: [met] };
      }
      const given = submissions.filter((submission) => submission !== null);
      const files = new Map(given.flatMap(({ email }) => [...email.files]));
      const args = [now, idempotencyMs, isStrict ? 1 : 0, batchClaim?.bodyHash ?? '', files.size, ...files.values()];
      const pack = makePacker();
      for (const submission of submissions)
        args.push(...(submission === null ? [''] : await creationArgs(submission, pack)));
      const names = [...fixedNames(batchClaim), ...[...files.keys()].map(keys.file), ...given.flatMap(namesOf)];
      const [isStored, met] = (await createScript(redis, names, args)) as [number, string | string[]];
      if (typeof met === 'string') return { kind: 'repeated', prior: readClaim(met) };
      return {
        kind: isStored === 1 ? 'stored' : 'refused',
        met: met.map(readMet),
      };
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
      return found.map((facts, index) => (facts === null ? null : unpackFacts(ids[index] ?? '', facts)));
    },

    /** The emails that fit, newest first, without content; records that are gone are left out. */
    async find(query: IndexQuery): Promise<StoredEmail[]> {
      const ids = await findIds(redis, query);
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
      const found = await Promise.all(hashes.map((hash) => redis.getBuffer(keys.file(hash))));
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
      const args = [await packContent(content), ...[...files].flat()];
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

/** An email that comes alone, without files. */
type NewMember = Member & { readonly now: number; readonly names: readonly string[]; readonly args: CreationArgs };
type CreationArgs = readonly (string | number | Buffer)[];

async function memberOf(submission: Submission, now: number): Promise<NewMember> {
  const args = await creationArgs(submission, packContent);
  const bytes = args.reduce<number>((sum, arg) => sum + (typeof arg === 'number' ? 0 : arg.length), 0);
  return { claim: submission.claim?.scope ?? null, bytes, now, names: namesOf(submission), args };
}

/** @returns for each the claim it met; null where it was stored */
async function createMembers(redis: Redis, members: readonly NewMember[]): Promise<(PriorClaim | null)[]> {
  const now = Math.max(...members.map((member) => member.now));
  const names = [...fixedNames(null), ...members.flatMap((member) => member.names)];
  const args = [now, idempotencyMs, 0, '', 0, ...members.flatMap((member) => member.args)];
  const [, met] = (await createScript(redis, names, args)) as [number, string[]];
  return met.map(readMet);
}

function fixedNames(batchClaim: IdempotencyClaim | null): string[] {
  return [keys.bell, keys.outbox, keys.emailIndex, keys.fileUses, keys.idempotency(batchClaim?.scope ?? '')];
}

function namesOf({ email: { facts }, claim }: Submission): string[] {
  return [keys.email(facts.id), keys.content(facts.id), keys.idempotency(claim?.scope ?? ''), keys.due(facts.lane)];
}

async function creationArgs(
  { email, claim }: Submission,
  pack: (content: Content) => Promise<Buffer>,
): Promise<CreationArgs> {
  const { facts, state, content, files, event } = email;
  const hashes = [...files.keys()];
  return [
    facts.id,
    nextDue(state) ?? facts.createdAt,
    packFacts(facts),
    packState(state, facts),
    await pack(content),
    packEvent(event),
    claim?.bodyHash ?? '',
    postingsOf(facts, state),
    hashes.length,
    ...hashes,
  ];
}

/** RESP3 answers pairs, RESP2 a flat list. */
function toMarks(rows: readonly unknown[]): DueMark[] {
  const flat = rows.flat();
  return Array.from({ length: flat.length / 2 }, (_, n) => ({ id: String(flat[2 * n]), at: Number(flat[2 * n + 1]) }));
}

function readMet(claim: string): PriorClaim | null {
  return claim === '' ? null : readClaim(claim);
}

function readClaim(text: string): PriorClaim {
  const [bodyHash = '', ids = ''] = text.split(' ');
  return { bodyHash, ids: ids.split(',') };
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
