/**
 * How emails come into being: stored all or none in one atomic step, with content, files, first events and the keys they claim. The index
 * of a large batch follows in further steps. Both sides of the first step are here: what Lua does, and what it is given.
 */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { inTurns } from '../concurrency/in-turns.ts';
import type { NewEmail } from '../domain/email.ts';
import { fileHashLength } from '../domain/file.ts';
import { type IdempotencyClaim, idempotencyMs } from '../domain/idempotency.ts';
import { nextDue } from '../domain/recipient.ts';
import { ringBell } from './bell.ts';
import { packContent, packedInTurn, packShared } from './content.ts';
import { addPostings, countPostings, indexSome, maxPostings, postingsOf, splitPostings } from './email-index.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { type PriorClaim, readClaim, readPriorClaim } from './prior-claims.ts';
import { packEvent, packFacts, packState } from './record.ts';
import { script } from './redis.ts';

/** An email to store, with the claim for this email alone. */
export type Submission = { readonly email: NewEmail; readonly claim: IdempotencyClaim | null };

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
    const given = submissions.filter((submission) => submission !== null);
    const letters = await packShared(given.map(({ email }) => email.content));
    const files = new Map(given.flatMap(({ email }) => [...email.files]));
    for (const { hash, bytes } of letters.values()) files.set(hash, bytes);
    const args = [...termArgs(terms, files.size), ...files.values()];
    const postings = await postingsOfAll(given);
    for await (const one of inTurns(submissions, packedInTurn)) {
      const found = one && postings.get(one);
      const letter = one && (letters.get(one.email.content)?.hash ?? null);
      args.push(...(one && found ? await creationArgs(one, letter, found) : ['']));
    }
    const names = [...fixedNames(terms.batchClaim), ...[...files.keys()].map(keys.file), ...given.flatMap(namesOf)];
    const [isStored, met, unindexed = 0] = (await createScript(redis, names, args)) as CreateAnswer;
    if (typeof met === 'string') return { kind: 'repeated', prior: readClaim(met) };
    await indexFirst(redis, unindexed).catch(() => {}); // they are stored all the same, and a worker indexes what is left
    return { kind: isStored === 1 ? 'stored' : 'refused', met: met.map(readPriorClaim) };
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

/** The first keys of a creation. One for each file follows, then those of each email. */
const fixedKeys = named('bell', 'outbox', 'index', 'fileUses', 'batchClaim', 'unindexed');
const emailKeys = named('emailKey', 'contentKey', 'claimKey', 'dueKey');

/** What holds for all its emails. The bytes of each file follow, then the values of each email. */
const termArguments = named(
  'now',
  'claimMs',
  'strict', // '1': one clash, and nothing is stored
  'batchHash', // '' claims nothing
  'fileCount',
);

/** What is given of an email. The hashes of its files follow. An empty id alone, without keys, keeps the place of a refused email. */
const emailArguments = named(
  'id',
  'dueAt',
  'facts',
  'state',
  'content',
  'event',
  'claimHash', // '' claims nothing
  'postings', // added now
  'postingsLater', // '' for none
  'hashCount',
);

/**
 * Stores emails, all or none. The client sends a command again when its answer was lost with the connection, so a repeat changes nothing and
 * gets the same answer as the first time.
 *
 * A claim is kept as `prior-claims.ts` reads it. A file's key ends in its hash. A file whose emails all met a claim is removed again.
 *
 * Answers [0, claim] for a batch that was claimed before, else [stored, claims, unindexed]: for each email the claim it met, or '', and how many
 * emails are to be indexed later, up to the last of these.
 */
const createScript = script(
  `${addPostings}${ringBell}
${fixedKeys.read('KEYS')}
${termArguments.read('ARGV')}
if batchHash ~= '' then
  local prior = redis.call('GET', batchClaim)
  if prior then return {0, prior} end
end
local files = tonumber(fileCount)
local emails, met, clash = {}, {}, false
local at, key = ${termArguments.count} + files + 1, ${fixedKeys.count} + files + 1
local function read()
  ${emailArguments.read('ARGV', 'at', ['claimHash', 'hashCount'])}
  ${emailKeys.read('KEYS', 'key', ['claimKey'])}
  local prior = claimHash ~= '' and redis.call('GET', claimKey) or ''
  if prior ~= '' and string.sub(prior, 1, #claimHash + 1) ~= claimHash .. ' ' then clash = true end
  emails[#emails + 1], met[#met + 1] = {at, key}, prior
  at, key = at + ${emailArguments.count} + tonumber(hashCount), key + ${emailKeys.count}
end
while at <= #ARGV do
  if ARGV[at] == '' then
    emails[#emails + 1], met[#met + 1], at = false, '', at + 1
  else
    read()
  end
end
if strict == '1' and clash then return {0, met} end
local function fileKey(i) return KEYS[${fixedKeys.count} + i] end
for i = 1, files do redis.call('SET', fileKey(i), ARGV[${termArguments.count} + i], 'NX') end
local ids, clashes, isAnyDue, unindexedCount = {}, {}, false, 0
local function store(i, at, key)
  ${emailArguments.read('ARGV', 'at')}
  ${emailKeys.read('KEYS', 'key')}
  if met[i] ~= '' then
    local isKnown = string.sub(met[i], 1, #claimHash + 1) == claimHash .. ' '
    ids[i] = isKnown and string.sub(met[i], #claimHash + 2) or ''
    if not isKnown then clashes[#clashes + 1] = i - 1 end
    return
  end
  ids[i] = id
  if claimHash ~= '' then redis.call('SET', claimKey, claimHash .. ' ' .. id, 'PX', claimMs) end
  if redis.call('HSETNX', emailKey, 'version', 1) == 0 then return end
  redis.call('HSET', emailKey, 'facts', facts, 'state', state)
  redis.call('SET', contentKey, content)
  redis.call('ZADD', dueKey, dueAt, id)
  redis.call('XADD', outbox, '*', 'event', event)
  addPostings(index, postings)
  if postingsLater ~= '' then unindexedCount = redis.call('RPUSH', unindexed, postingsLater) end
  local hashes = {}
  for j = at + ${emailArguments.count}, at + ${emailArguments.count} + tonumber(hashCount) - 1 do
    redis.call('HINCRBY', fileUses, ARGV[j], 1)
    hashes[#hashes + 1] = ARGV[j]
  end
  if #hashes > 0 then redis.call('HSET', emailKey, 'files', table.concat(hashes)) end
  if tonumber(dueAt) <= tonumber(now) then isAnyDue = true end
end
for i, place in ipairs(emails) do
  if place then store(i, place[1], place[2]) else ids[i] = '' end
end
if isAnyDue then ringBell(bell) end
for i = 1, files do
  local hash = string.sub(fileKey(i), -${fileHashLength})
  if redis.call('HEXISTS', fileUses, hash) == 0 then redis.call('DEL', fileKey(i)) end
end
if batchHash ~= '' then
  local claim = batchHash .. ' ' .. table.concat(ids, ',')
  if #clashes > 0 then claim = claim .. ' ' .. table.concat(clashes, ',') end
  redis.call('SET', batchClaim, claim, 'PX', claimMs)
end
return {1, met, unindexedCount}`,
  'at_once',
);

type CreateAnswer = readonly [isStored: number, met: string | readonly string[], unindexed?: number];

type Postings = readonly [atOnce: Buffer, later: Buffer];
const noPostings = Buffer.alloc(0);

/** The postings of each: all at once, or of a large batch only that of its status, and the rest later. */
async function postingsOfAll(submissions: readonly Submission[]): Promise<ReadonlyMap<Submission, Postings>> {
  const all: (readonly [Submission, Buffer])[] = [];
  for await (const one of inTurns(submissions, packedInTurn))
    all.push([one, postingsOf(one.email.facts, one.email.state)]);
  const count = all.reduce((sum, [, postings]) => sum + countPostings(postings), 0);
  const divided = (postings: Buffer): Postings =>
    count > maxPostings ? splitPostings(postings) : [postings, noPostings];
  return new Map(all.map(([one, postings]) => [one, divided(postings)]));
}

/** Indexes the first `count` of the emails that wait for it. Another process may index some of them meanwhile. */
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
  const terms = { batchClaim: null, isStrict: false, now };
  const args = [...termArgs(terms, 0), ...members.flatMap((member) => member.args)];
  const [, met] = (await createScript(redis, names, args)) as [number, string[]];
  return met.map(readPriorClaim);
}

function fixedNames(batchClaim: IdempotencyClaim | null): string[] {
  return fixedKeys.inOrder({
    bell: keys.bell,
    outbox: keys.outbox,
    index: keys.emailIndex,
    fileUses: keys.fileUses,
    batchClaim: keys.idempotency(batchClaim?.scope ?? ''),
    unindexed: keys.unindexed,
  });
}

function termArgs({ batchClaim, isStrict, now }: Terms, fileCount: number): (string | number)[] {
  const batchHash = batchClaim?.bodyHash ?? '';
  return termArguments.inOrder({ now, claimMs: idempotencyMs, strict: isStrict ? 1 : 0, batchHash, fileCount });
}

function namesOf({ email: { facts }, claim }: Submission): string[] {
  return emailKeys.inOrder({
    emailKey: keys.email(facts.id),
    contentKey: keys.content(facts.id),
    claimKey: keys.idempotency(claim?.scope ?? ''),
    dueKey: keys.due(facts.lane),
  });
}

/** @param letter the hash of its letter, when that is stored apart */
async function creationArgs(
  { email, claim }: Submission,
  letter: string | null,
  [postings, postingsLater]: Postings,
): Promise<CreationArgs> {
  const { facts, state, content, files, event } = email;
  const hashes = [...files.keys(), ...(letter === null ? [] : [letter])];
  const own = emailArguments.inOrder({
    id: facts.id,
    dueAt: nextDue(state) ?? facts.createdAt,
    facts: packFacts(facts),
    state: packState(state, facts),
    content: await packContent(content, letter),
    event: packEvent(event),
    claimHash: claim?.bodyHash ?? '',
    postings,
    postingsLater,
    hashCount: hashes.length,
  });
  return [...own, ...hashes];
}
