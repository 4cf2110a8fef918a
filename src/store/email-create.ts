/**
 * How emails come into being: stored all or none in one atomic step, with content, files, first events and the keys they claim. What a large
 * batch is found by follows in further steps.
 */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { type Content, fileHash, type NewEmail } from '../domain/email.ts';
import { clashMark, idempotencyMs } from '../domain/idempotency.ts';
import { nextDue } from '../domain/recipient.ts';
import { packContent, packLetter, sharedLetters } from './content.ts';
import { countPostings, indexSome, maxPostings, postingsOf, splitPostings } from './email-index.ts';
import { createScript } from './email-scripts.ts';
import { keys } from './keys.ts';
import { packEvent, packFacts, packState } from './record.ts';

/** An Idempotency-Key in its scope, with the hash of its request body. */
export type IdempotencyClaim = { readonly scope: string; readonly bodyHash: string };

/** An email to store, with the claim for this email alone. */
export type Submission = { readonly email: NewEmail; readonly claim: IdempotencyClaim | null };

/** The result of an earlier request with the same key: ids in its order, '' for a refused email, `clashMark` for one whose own key clashed. */
export type PriorClaim = { readonly bodyHash: string; readonly ids: readonly string[] };

type Created =
  /** For each email the earlier claim it met; null when it was stored. */
  | { readonly kind: 'stored'; readonly met: readonly (PriorClaim | null)[] }
  /** An earlier claim has another body, and `isStrict` asked to store nothing then. */
  | { readonly kind: 'refused'; readonly met: readonly (PriorClaim | null)[] }
  /** The whole batch had been claimed before. */
  | { readonly kind: 'repeated'; readonly prior: PriorClaim };

/** Options of one creation. `isStrict`: store nothing when an earlier claim has another body. */
type Terms = { readonly batchClaim: IdempotencyClaim | null; readonly isStrict: boolean; readonly now: number };

export function openCreate(redis: Redis) {
  const createInGroup = makeGroup((members: readonly NewMember[]) => createMembers(redis, members));

  async function createOne(only: Submission, { isStrict, now }: Terms): Promise<Created> {
    const met = await createInGroup(await memberOf(only, now));
    const isRefused = isStrict && met !== null && met.bodyHash !== only.claim?.bodyHash;
    return { kind: isRefused ? 'refused' : 'stored', met: [met] };
  }

  async function createAll(submissions: readonly (Submission | null)[], terms: Terms): Promise<Created> {
    const { batchClaim, isStrict, now } = terms;
    const given = submissions.filter((submission) => submission !== null);
    const letters = await packShared(given.map(({ email }) => email.content));
    const files = new Map(given.flatMap(({ email }) => [...email.files]));
    for (const { hash, bytes } of letters.values()) files.set(hash, bytes);
    const args = [now, idempotencyMs, isStrict ? 1 : 0, batchClaim?.bodyHash ?? '', files.size, ...files.values()];
    const postings = postingsOfAll(given);
    for (const one of submissions) {
      const found = one && postings.get(one);
      const letter = one && (letters.get(one.email.content)?.hash ?? null);
      args.push(...(one && found ? await creationArgs(one, letter, found) : ['']));
    }
    const names = [...fixedNames(batchClaim), ...[...files.keys()].map(keys.file), ...given.flatMap(namesOf)];
    const [isStored, met, unindexed = 0] = (await createScript(redis, names, args)) as CreateAnswer;
    if (typeof met === 'string') return { kind: 'repeated', prior: readClaim(met) };
    await indexFirst(redis, unindexed).catch(() => {}); // they are stored all the same, and a worker indexes what is left
    return { kind: isStored === 1 ? 'stored' : 'refused', met: met.map(readMet) };
  }

  /**
   * Stores emails with their content, files and first events, and claims their Idempotency-Keys, in one atomic step.
   * @param submissions null for an email that validation refused; it keeps its place in the batch
   */
  return (submissions: readonly (Submission | null)[], terms: Terms): Promise<Created> => {
    const [only] = submissions;
    const isAlone = submissions.length === 1 && only && terms.batchClaim === null && only.email.files.size === 0;
    return isAlone ? createOne(only, terms) : createAll(submissions, terms);
  };
}

type CreateAnswer = readonly [isStored: number, met: string | readonly string[], unindexed?: number];

type SharedLetter = { readonly hash: string; readonly bytes: Buffer };

/** The letters that several emails share: each is stored once. */
async function packShared(contents: readonly Content[]): Promise<ReadonlyMap<Content, SharedLetter>> {
  const shared = new Map<Content, SharedLetter>();
  for (const same of sharedLetters(contents)) {
    const bytes = await packLetter(same[0] as Content);
    const letter = { hash: fileHash(bytes), bytes };
    for (const content of same) shared.set(content, letter);
  }
  return shared;
}

type Postings = readonly [atOnce: Buffer, later: Buffer];
const noPostings = Buffer.alloc(0);

/** The postings of each: all at once, or of a large batch only that of its status, and the rest later. */
function postingsOfAll(submissions: readonly Submission[]): ReadonlyMap<Submission, Postings> {
  const all = submissions.map((one) => [one, postingsOf(one.email.facts, one.email.state)] as const);
  const count = all.reduce((sum, [, postings]) => sum + countPostings(postings), 0);
  const divided = (postings: Buffer): Postings =>
    count > maxPostings ? splitPostings(postings) : [postings, noPostings];
  return new Map(all.map(([one, postings]) => [one, divided(postings)]));
}

/** The first `count` of the emails that are to be indexed, whoever does it. */
async function indexFirst(redis: Redis, count: number): Promise<void> {
  for (let done = 0; done < count; ) {
    const indexed = await indexSome(redis);
    if (indexed === 0) return;
    done += indexed;
  }
}

/** An email that comes alone, without files. */
type NewMember = Member & { readonly now: number; readonly names: readonly string[]; readonly args: CreationArgs };
type CreationArgs = readonly (string | number | Buffer)[];

async function memberOf(submission: Submission, now: number): Promise<NewMember> {
  const postings = postingsOf(submission.email.facts, submission.email.state);
  const args = await creationArgs(submission, null, [postings, noPostings]);
  const bytes = args.reduce<number>((sum, arg) => sum + (typeof arg === 'number' ? 0 : arg.length), 0);
  const claim = submission.claim?.scope ?? null;
  return { claim, bytes, steps: countPostings(postings), now, names: namesOf(submission), args };
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
  const claim = keys.idempotency(batchClaim?.scope ?? '');
  return [keys.bell, keys.outbox, keys.emailIndex, keys.fileUses, claim, keys.unindexed];
}

function namesOf({ email: { facts }, claim }: Submission): string[] {
  return [keys.email(facts.id), keys.content(facts.id), keys.idempotency(claim?.scope ?? ''), keys.due(facts.lane)];
}

/** @param letter the hash of its letter, when that stands apart */
async function creationArgs(
  { email, claim }: Submission,
  letter: string | null,
  postings: Postings,
): Promise<CreationArgs> {
  const { facts, state, content, files, event } = email;
  const hashes = [...files.keys(), ...(letter === null ? [] : [letter])];
  return [
    facts.id,
    nextDue(state) ?? facts.createdAt,
    packFacts(facts),
    packState(state, facts),
    await packContent(content, letter),
    packEvent(event),
    claim?.bodyHash ?? '',
    ...postings,
    hashes.length,
    ...hashes,
  ];
}

/** @param claim as it is stored; '' for none */
export function readMet(claim: string): PriorClaim | null {
  return claim === '' ? null : readClaim(claim);
}

function readClaim(text: string): PriorClaim {
  const [bodyHash = '', ids = '', clashes = ''] = text.split(' ');
  const clashed = new Set(clashes.split(','));
  return { bodyHash, ids: ids.split(',').map((id, place) => (clashed.has(String(place)) ? clashMark : id)) };
}
