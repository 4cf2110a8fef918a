/**
 * Finds emails by what they have in common. One sorted set holds, for each term of each email, one posting: the term's name in 8 bytes and
 * the email's id in 16. All scores are 0, so the set is in the order of its bytes: within a term by time, and a page is read in place.
 */
import { hash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { domainOf } from '../domain/address.ts';
import { type EmailFacts, type EmailState, statusOf } from '../domain/email.ts';
import { idByteLength, idBytes, idFromBytes } from '../domain/id.ts';
import { suppressedForm } from '../domain/suppression.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

/** The terms that an email can be found by; `to` in any case. */
export type Term =
  | readonly ['lane' | 'status' | 'from_domain' | 'to' | 'external_id', string]
  | readonly ['tag', name: string, value: string];

const termBytes = 8;
export const postingBytes = termBytes + idByteLength;
/** Postings added or taken away by one script: ten milliseconds of Redis. */
export const maxPostings = 1_000;
/** Terms that recur with nearly every email: their names are worth remembering. */
const recurring: ReadonlySet<Term[0]> = new Set(['lane', 'status', 'from_domain']);
const maxRemembered = 10_000;
const remembered = new Map<string, Buffer>();

/** 64 bits of SHA-256 are enough for a billion different terms. */
function termName(term: Term): Buffer {
  const text = term[0] === 'to' ? `to\n${suppressedForm(term[1])}` : term.join('\n');
  const known = remembered.get(text);
  if (known !== undefined) return known;
  // Through a string: that takes a third of the time of a separate Buffer.
  const name = Buffer.from(hash('sha256', text, 'binary').slice(0, termBytes), 'binary');
  if (recurring.has(term[0]) && remembered.size < maxRemembered) remembered.set(text, name);
  return name;
}

/** The postings of a new email, concatenated. */
export function postingsOf(facts: EmailFacts, state: EmailState): Buffer {
  const terms: Term[] = [
    ['lane', facts.lane],
    ['status', statusOf(state)],
    ['from_domain', domainOf(facts.from.address)],
  ];
  for (const address of new Set(state.recipients.map((recipient) => suppressedForm(recipient.address))))
    terms.push(['to', address]);
  for (const { name, value } of facts.tags) terms.push(['tag', name, value]);
  if (facts.externalId !== null) terms.push(['external_id', facts.externalId]);
  return postings(terms, facts.id);
}

function postings(terms: readonly Term[], id: string): Buffer {
  const id16 = idBytes(id);
  const bytes = Buffer.allocUnsafe(terms.length * (termBytes + id16.length));
  let at = 0;
  for (const term of terms) {
    at += termName(term).copy(bytes, at);
    at += id16.copy(bytes, at);
  }
  return bytes;
}

export function countPostings(bytes: Uint8Array): number {
  return bytes.length / postingBytes;
}

/** Splits the posting of the status, which moves with the email from the first moment on, off the others, which never move. */
export function splitPostings(all: Buffer): readonly [status: Buffer, others: Buffer] {
  const [from, to] = [postingBytes, 2 * postingBytes];
  return [all.subarray(from, to), Buffer.concat([all.subarray(0, from), all.subarray(to)])];
}

/** Lua: adds postings, given one after the other. */
export const addPostings = `
local function addPostings(index, postings)
  local adding = {}
  for i = 1, #postings, ${postingBytes} do
    adding[#adding + 1] = 0
    adding[#adding + 1] = string.sub(postings, i, i + ${postingBytes - 1})
  end
  redis.call('ZADD', index, unpack(adding))
end
`;

/** KEYS unindexed index; ARGV most postings. Answers how many emails were indexed. The first write is one that a full Redis takes. */
const indexScript = script(`${addPostings}
local room, done = tonumber(ARGV[1]), 0
while room > 0 do
  local postings = redis.call('LPOP', KEYS[1])
  if not postings then break end
  addPostings(KEYS[2], postings)
  room, done = room - #postings / ${postingBytes}, done + 1
end
return done`);

/** Indexes some of the emails that are stored and not indexed yet, the first of them first. @returns how many; 0 when none was left */
export async function indexSome(redis: Redis): Promise<number> {
  return Number(await indexScript(redis, [keys.unindexed, keys.emailIndex], [maxPostings]));
}

/** The posting to take away and the one to put in its place; none when the status stays. */
export function movedPosting(id: string, before: EmailState, after: EmailState): readonly [Buffer, Buffer] | null {
  const [was, is] = [statusOf(before), statusOf(after)];
  if (was === is) return null;
  const both = postings(
    [
      ['status', was],
      ['status', is],
    ],
    id,
  );
  return [both.subarray(0, postingBytes), both.subarray(postingBytes)];
}

export type IndexQuery = {
  /** An email is found when it has at least one term of every group. */
  readonly groups: readonly (readonly Term[])[];
  /** Emails older than this id (`after` it in a list that starts with the newest), or newer. */
  readonly cursor: { readonly side: 'older' | 'newer'; readonly id: string } | null;
  /** Milliseconds, both inclusive. */
  readonly createdFrom: number | null;
  readonly createdTo: number | null;
  readonly limit: number;
};

/** Look-ups in one run of the script: about a millisecond, so that other commands do not wait for a reader. */
const lookUpsPerRun = 500;

const findArguments = named(
  'direction', // older or newer
  'limit', // of the ids to find
  'lookUps', // after which it stops
  'start',
  'far', // the bound at the other end, inclusive
);

/**
 * Leapfrog join: each group in turn is asked for its next id at or past the candidate; when all name the same one, it is found.
 * KEYS index; ARGV findArguments, then each group's number of terms and its terms.
 * Answers whether it came to the end, where to go on, and what it found. The place to start from is inclusive when it is as long as an id,
 * exclusive with another byte behind it.
 */
const findScript = script(
  `
local index = KEYS[1]
${findArguments.read('ARGV')}
local older = direction == 'older'
local command = older and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX'
local left = tonumber(lookUps)
local groups, at = {}, ${findArguments.count + 1}
while at <= #ARGV do
  local group = {}
  for i = 1, tonumber(ARGV[at]) do group[i] = ARGV[at + i] end
  groups[#groups + 1] = group
  at = at + #group + 1
end
local function seek(group, from)
  local best = nil
  for _, term in ipairs(group) do
    left = left - 1
    local first = (#from > ${idByteLength} and '(' or '[') .. term .. string.sub(from, 1, ${idByteLength})
    local found = redis.call(command, index, first, '[' .. term .. far, 'LIMIT', 0, 1)[1]
    local id = found and string.sub(found, ${termBytes + 1})
    if id and (not best or (older and id > best) or (not older and id < best)) then best = id end
  end
  return best
end
local found, from = {}, start
while #found < tonumber(limit) do
  local candidate, agreed = from, 0
  while agreed < #groups do
    for _, group in ipairs(groups) do
      local id = seek(group, candidate)
      if not id then return {1, '', found} end
      if id == candidate then agreed = agreed + 1 else candidate = id agreed = 1 end
      if agreed >= #groups then break end
    end
    if left <= 0 and agreed < #groups then return {0, candidate, found} end
  end
  found[#found + 1] = candidate
  from = candidate .. 'x'
  if left <= 0 then return {0, from, found} end
end
return {1, from, found}`,
  'bytes',
);

const lowest = Buffer.alloc(idByteLength, 0x00);
const highest = Buffer.alloc(idByteLength, 0xff);

/** Most runs for one query, about 200,000 look-ups: frequent terms that never occur together would walk through the whole index. */
const maxRuns = 400;

/**
 * Ids of the emails that fit, at most `limit` next to the cursor, newest first. Null when that would take too many look-ups: a shorter span
 * of time takes fewer.
 */
export async function findIds(redis: Redis, query: IndexQuery, runs = maxRuns): Promise<string[] | null> {
  const older = query.cursor?.side !== 'newer';
  const bottom = query.createdFrom === null ? lowest : timeBytes(query.createdFrom, 0x00);
  const top = query.createdTo === null ? highest : timeBytes(query.createdTo, 0xff);
  let [from, far] = older ? [top, bottom] : [bottom, top];
  if (query.cursor !== null) {
    const cursor = idBytes(query.cursor.id);
    const isPastIt = older ? cursor.compare(from) <= 0 : cursor.compare(from) >= 0;
    if (isPastIt) from = Buffer.concat([cursor, Buffer.of(0x78)]);
  }
  const groups = query.groups.flatMap((group) => [group.length, ...group.map(termName)]);
  const found: string[] = [];
  for (let run = 0; run < runs; run++) {
    const wanted = query.limit - found.length;
    const direction = older ? 'older' : 'newer';
    const own = findArguments.inOrder({ direction, limit: wanted, lookUps: lookUpsPerRun, start: from, far });
    const args = [...own, ...groups];
    const [isOver, next, ids] = (await findScript(redis, [keys.emailIndex], args)) as [number, Buffer, Buffer[]];
    found.push(...ids.map((bytes) => idFromBytes('em', bytes)));
    if (isOver === 1) return older ? found : found.reverse();
    from = next;
  }
  return null;
}

function timeBytes(at: number, rest: number): Buffer {
  const bytes = Buffer.alloc(idByteLength, rest);
  bytes.writeUIntBE(Math.min(Math.max(at, 0), 2 ** 48 - 1), 0, 6);
  return bytes;
}
