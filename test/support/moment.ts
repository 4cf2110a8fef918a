/** What stands in Redis at one moment, read in one atomic step: every email, what leads to it, and every event. */
import { Redis } from 'ioredis';
import { type StoredEmail, statusOf } from '../../src/domain/email.ts';
import type { EmailEvent } from '../../src/domain/event.ts';
import { lanes } from '../../src/domain/lane.ts';
import { isPending, type RecipientStatus, recipientStatuses } from '../../src/domain/recipient.ts';
import { deliverQueueNames } from '../../src/queue/deliver-queue.ts';
import { postingsOf } from '../../src/store/email-index.ts';
import { keys, queuePrefix } from '../../src/store/keys.ts';
import { unpackEvent, unpackFacts, unpackState } from '../../src/store/record.ts';

export type Moment = {
  readonly emails: ReadonlyMap<string, StoredEmail>;
  /** Emails that bear a mark, are being fed, are parked, or are carried by a job in a queue. */
  readonly led: ReadonlySet<string>;
  readonly events: ReadonlyMap<string, readonly EmailEvent[]>;
  /** Postings of the index, as hex. */
  readonly postings: ReadonlySet<string>;
};

/** KEYS outbox index; ARGV pattern of emails, number of patterns of sorted sets and they, the same of takes, and the prefix of each queue. */
const readAll = `
local emails, marks, taken, jobs = {}, {}, {}, {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local stored = redis.call('HMGET', key, 'facts', 'state', 'version', 'handOver')
  emails[#emails + 1] = {key, stored[1], stored[2], stored[3], stored[4] or ''}
end
local at = 2
local function each(see)
  for i = at + 1, at + tonumber(ARGV[at]) do see(ARGV[i]) end
  at = at + 1 + tonumber(ARGV[at])
end
each(function(pattern)
  for _, key in ipairs(redis.call('KEYS', pattern)) do marks[#marks + 1] = redis.call('ZRANGE', key, 0, -1) end
end)
each(function(key) taken[#taken + 1] = redis.call('HVALS', key) end)
each(function(queue)
  for _, ids in ipairs({
    redis.call('LRANGE', queue .. 'wait', 0, -1), redis.call('LRANGE', queue .. 'active', 0, -1),
    redis.call('ZRANGE', queue .. 'delayed', 0, -1), redis.call('ZRANGE', queue .. 'prioritized', 0, -1)}) do
    for _, id in ipairs(ids) do jobs[#jobs + 1] = redis.call('HGET', queue .. id, 'data') or '' end
  end
end)
return {emails, marks, taken, jobs, redis.call('XRANGE', KEYS[1], '-', '+'), redis.call('ZRANGE', KEYS[2], 0, -1)}`;

type Answer = [
  emails: Buffer[][],
  marks: Buffer[][],
  taken: Buffer[][],
  jobs: Buffer[],
  events: [Buffer, Buffer[]][],
  postings: Buffer[],
];

/** @param url of a Redis at a socket */
export async function readMoment(url: string): Promise<Moment> {
  const redis = new Redis(url.slice('unix://'.length));
  try {
    const marks = lanes.flatMap((lane) => [keys.due(lane), keys.again(lane), keys.parked('*', lane)]);
    const queues = lanes.map((lane) => `${queuePrefix}:${deliverQueueNames[lane]}:`);
    const patterns = [marks, lanes.map(keys.taken), queues].flatMap((some) => [some.length, ...some]);
    const answer = await redis.callBuffer(
      'eval',
      readAll,
      2,
      keys.outbox,
      keys.emailIndex,
      keys.email('*'),
      ...patterns,
    );
    return momentOf(answer as unknown as Answer);
  } finally {
    redis.disconnect();
  }
}

const readInFlight = `
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  if redis.call('HEXISTS', key, 'handOver') == 1 then found[#found + 1] = key end
end
return found`;

/** Emails that are being handed over at this moment, or were when their worker died. */
export async function idsInFlight(url: string): Promise<string[]> {
  const redis = new Redis(url.slice('unix://'.length));
  try {
    const found = (await redis.eval(readInFlight, 0, keys.email('*'))) as string[];
    return found.map((key) => key.split(':').at(-1) ?? '');
  } finally {
    redis.disconnect();
  }
}

function momentOf([stored, marks, taken, jobs, entries, postings]: Answer): Moment {
  const emails = new Map(stored.map((fields) => [fields[0]?.toString().split(':').at(-1) ?? '', emailOf(fields)]));
  const events = new Map<string, EmailEvent[]>();
  for (const [, [, json]] of entries) {
    const event = unpackEvent(json?.toString() ?? '');
    if ('emailId' in event) events.set(event.emailId, [...(events.get(event.emailId) ?? []), event]);
  }
  const inJobs = jobs.flatMap((data) => (data.length === 0 ? [] : JSON.parse(data.toString()).emails));
  // The end of a lease, a space, and the ids.
  const beingFed = taken.flat().flatMap((take) => take.toString().split(/[ ,]/).slice(1));
  const led = new Set<string>([...marks.flat().map(String), ...beingFed, ...inJobs]);
  return { emails, led, events, postings: new Set(postings.map((posting) => posting.toString('hex'))) };
}

function emailOf([key, facts, state, version, handOver]: readonly Buffer[]): StoredEmail {
  const id = key?.toString().split(':').at(-1) ?? '';
  const whole = unpackFacts(id, String(facts));
  return {
    facts: whole,
    state: unpackState(String(state), whole),
    version: Number(version),
    handOver: handOver?.length ? JSON.parse(handOver.toString()) : null,
  };
}

/** Recipients by where they stand. */
export function ledgerOf({ emails }: Moment): Record<RecipientStatus | 'pending' | 'all', number> {
  const all = [...emails.values()].flatMap(({ state }) => state.recipients);
  const count = (is: (status: RecipientStatus) => boolean) => all.filter(({ status }) => is(status)).length;
  const byStatus = recipientStatuses.map((name) => [name, count((status) => status === name)]);
  return { ...Object.fromEntries(byStatus), pending: count(isPending), all: all.length };
}

/**
 * What is wrong at a moment: an email that was accepted and is not there, one that is pending and that nothing leads to, one whose events
 * are not numbered through, one that is found under another status than its own.
 */
export function wrongsOf({ emails, led, events, postings }: Moment, accepted: Iterable<string>): string[] {
  const wrongs: string[] = [];
  for (const id of accepted) if (!emails.has(id)) wrongs.push(`${id} is lost`);
  let found = 0;
  const termOf = (term: Buffer) => term.toString('hex');
  const statusPosting = ({ facts, state }: StoredEmail) => termOf(postingsOf(facts, state).subarray(24, 48));
  const isStatus = new Set<string>();
  for (const [id, email] of emails) {
    const { state } = email;
    if (state.recipients.some(({ status }) => isPending(status)) && !led.has(id))
      wrongs.push(`${id} is ${statusOf(state)}, and nothing leads to it`);
    const numbers = (events.get(id) ?? []).map(({ sequence }) => sequence);
    if (numbers.length !== state.sequence || numbers.some((number, index) => number !== index + 1))
      wrongs.push(`${id} has ${state.sequence} events, and those told are ${numbers.join()}`);
    const posting = statusPosting(email);
    isStatus.add(posting.slice(0, 16));
    if (postings.has(posting)) found += 1;
    else wrongs.push(`${id} is not found under its status ${statusOf(state)}`);
  }
  const stale = [...postings].filter((posting) => isStatus.has(posting.slice(0, 16))).length - found;
  if (stale > 0) wrongs.push(`${stale} emails are found under a status that is not theirs`);
  return wrongs;
}
