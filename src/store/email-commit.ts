/**
 * How a stored email changes: by a commit, which also writes its events and is refused when the email changed meanwhile. A repeat of it changes
 * nothing, as in email-scripts.ts. Both sides are here: what Lua does, and what it is given.
 */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { countOf } from '../domain/campaign.ts';
import { type Content, type EmailState, hasEnded, type StoredEmail, statusOf } from '../domain/email.ts';
import type { EmailEvent } from '../domain/event.ts';
import { nextDue } from '../domain/recipient.ts';
import type { Suppression } from '../domain/suppression.ts';
import { maxTimelineSteps, type TimelineStep } from '../domain/timeline.ts';
import { ringBell } from './bell.ts';
import { countMoved } from './campaign-count.ts';
import { packContent } from './content.ts';
import { markAgain } from './due.ts';
import { movedPosting } from './email-index.ts';
import { noteEnd, packEnd } from './end.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { packEvent, packState, packStep } from './record.ts';
import { areOnes, script } from './redis.ts';
import { addSuppressions, packSuppression, suppressionArguments } from './suppressions.ts';

/** What a commit writes. */
export type Commit = {
  readonly state: EmailState;
  readonly events: readonly EmailEvent[];
  /** Null only counts a transport fault. */
  readonly step: TimelineStep | null;
  /** Suppressions to add. */
  readonly suppressions?: readonly Suppression[];
  /** Stored with a change if the email has no content any more. */
  readonly content?: Content;
};

/** `content_gone`: the email would be due, but its content is gone. `campaign_canceled`: it would wait in a canceled campaign. */
export type ChangeCommitted = 'done' | 'lost' | 'content_gone' | 'campaign_canceled';

/** What a commit may write besides the email itself: the first keys of each script that commits, in which `commit` has them as locals. */
export const commitKeys = named('bell', 'outbox', 'index', 'suppressions', 'suppressionIds', 'ended', 'campaignsDue');

/** The same for every email. */
export const commitNames = commitKeys.inOrder({
  bell: keys.bell,
  outbox: keys.outbox,
  index: keys.emailIndex,
  suppressions: keys.suppressions,
  suppressionIds: keys.suppressionIds,
  ended: keys.ended,
  campaignsDue: keys.campaignsDue,
});

/** What `commit` is given of an email. The events follow, then `suppressionArguments` of each suppression. */
export const commitArguments = named(
  'version', // the one decided upon
  'state',
  'step', // of the timeline; '' only counts a transport fault
  'oldPosting', // to remove from the index; '' when the status stays
  'newPosting', // to add in its place
  'ending', // entry for `ended`; '' while the email has not ended
  'now',
  'oldCount', // what its campaign counted it as; '' when that stays
  'newCount', // what its campaign counts it as now
  'eventCount',
  'suppressionCount',
);

type Arguments = readonly (string | number | Buffer)[];

/** `commitArguments` of an email, and what follows them. */
export function commitArgumentsOf(
  email: StoredEmail,
  { state, events, step, suppressions = [] }: Commit,
  now: number,
): Arguments {
  const [oldPosting, newPosting] = movedPosting(email.facts.id, email.state, state) ?? ['', ''];
  const [oldCount, newCount] = movedCount(email, state) ?? ['', ''];
  const own = commitArguments.inOrder({
    version: email.version,
    state: packState(state, email.facts),
    step: step === null ? '' : packStep(step),
    oldPosting,
    newPosting,
    // Also when it had ended before: that end was noted for another version, so it removes nothing.
    ending: hasEnded(state) ? packEnd({ id: email.facts.id, at: now, version: email.version + 1 }) : '',
    now,
    oldCount,
    newCount,
    eventCount: events.length,
    suppressionCount: suppressions.length,
  });
  return [...own, ...events.map(packEvent), ...suppressions.flatMap(packSuppression)];
}

/** The counts of its campaign that it moves from and to; null when the count stays or it has no campaign. */
function movedCount({ facts, state: before }: StoredEmail, after: EmailState): readonly [string, string] | null {
  const [was, is] = [countOf(statusOf(before)), countOf(statusOf(after))];
  return facts.campaignId === null || was === is ? null : [`n:${was}`, `n:${is}`];
}

/**
 * Lua: writes an email's new state, its timeline step and its events. Refused when the version is no longer the one decided upon, or when
 * another attempt is handing the email over: that attempt settles it. Answers whether it is done, and where the arguments after its own begin.
 *
 * `at`       where its arguments begin, which `commitArgumentsOf` returns
 * `change`   id of a change that a caller asked for; '' for none
 * `attempt`  id of the attempt whose hand-over this settles; '' when nothing was handed over
 *
 * Steps are numbered without gaps, so that the oldest is known when there are too many.
 */
export const commit = `${addSuppressions}${countMoved}${noteEnd}
${commitKeys.read('KEYS')}
local function commit(email, campaign, at, change, attempt)
  ${commitArguments.read('ARGV', 'at')}
  local firstEvent = at + ${commitArguments.count}
  local firstSuppression = firstEvent + tonumber(eventCount)
  local behind = firstSuppression + ${suppressionArguments.count} * tonumber(suppressionCount)
  local stored = redis.call('HMGET', email, 'version', 'state', 'handOver', 'faults', 'change')
  local nextVersion = tonumber(version) + 1
  if stored[1] ~= version then
    local isSame = tonumber(stored[1]) == nextVersion and stored[2] == state
    return isSame and (change == '' or stored[5] == change), behind
  end
  if stored[3] then
    if attempt == '' or not string.find(stored[3], '"attemptId":"' .. attempt .. '"', 1, true) then return false, behind end
    redis.call('HDEL', email, 'handOver')
  end
  if step == '' then
    redis.call('HSET', email, 'state', state, 'version', nextVersion)
    redis.call('HINCRBY', email, 'faults', 1)
  else
    local number = nextVersion - tonumber(stored[4] or 0)
    redis.call('HSET', email, 'state', state, 'version', nextVersion, 't' .. number, step)
    if number > ${maxTimelineSteps} and redis.call('HDEL', email, 't' .. number - ${maxTimelineSteps}) == 1 then
      redis.call('HINCRBY', email, 'dropped', 1)
    end
  end
  if oldPosting ~= '' then
    redis.call('ZREM', index, oldPosting)
    redis.call('ZADD', index, 0, newPosting)
  end
  if ending ~= '' then noteEnd(ended, ending) end
  for i = firstEvent, firstSuppression - 1 do redis.call('XADD', outbox, '*', 'event', ARGV[i]) end
  addSuppressions(suppressions, suppressionIds, firstSuppression, behind - 1)
  if oldCount ~= '' then countMoved(campaign, outbox, campaignsDue, now, oldCount, newCount, 1) end
  return true, behind
end
`;

const attemptKeys = named('email', 'again', 'campaign');
const attemptArguments = named('id', 'attempt', 'againAt');

/** Commits attempts. KEYS `commitKeys`, then for each email `attemptKeys`; ARGV now, then for each `attemptArguments` and what `commit` takes. */
const attemptsScript = script(
  `${markAgain}${commit}
local answers, at = {}, 2
for i = ${commitKeys.count + 1}, #KEYS, ${attemptKeys.count} do
  ${attemptKeys.read('KEYS', 'i')}
  ${attemptArguments.read('ARGV', 'at')}
  local isDone
  isDone, at = commit(email, campaign, at + ${attemptArguments.count}, '', attempt)
  if isDone and againAt ~= '' then markAgain(bell, again, ARGV[1], againAt, id) end
  answers[#answers + 1] = isDone and 1 or 0
end
return answers`,
  'at_once',
);

const changeKeys = named('email', 'content', 'due', 'again', 'campaign');
const changeArguments = named(
  'change',
  'id',
  'dueAt', // when it is due now, or ''
  'packed', // a content in place of one that is gone, or ''
);

/**
 * Commits a change that a caller asked for. Lost while a hand-over is open; refused when the email would be due without its content. A repeat of
 * the last change of the email does nothing. A mark in `again` that is due already stays: the email may have been released with a permit, which
 * the worker that takes it voids.
 * KEYS `commitKeys`, `changeKeys`; ARGV `changeArguments`, then what `commit` takes. Answers a `ChangeCommitted`.
 */
const changeScript = script(`${ringBell}${commit}
${changeKeys.read('KEYS', commitKeys.count + 1)}
${changeArguments.read('ARGV')}
local at = ${changeArguments.count + 1}
${commitArguments.read('ARGV', 'at', ['version', 'now', 'newCount'])}
if redis.call('HGET', email, 'change') == change then return 'done' end
if dueAt ~= '' and packed == '' and redis.call('EXISTS', content) == 0 then return 'content_gone' end
if redis.call('HGET', email, 'version') == version and isTooLate(campaign, newCount) then return 'campaign_canceled' end
if not commit(email, campaign, at, change, '') then return 'lost' end
redis.call('HSET', email, 'change', change)
if packed ~= '' then redis.call('SET', content, packed, 'NX') end
if tonumber(redis.call('ZSCORE', again, id) or 'inf') > tonumber(now) then redis.call('ZREM', again, id) end
if dueAt == '' then
  redis.call('ZREM', due, id)
else
  redis.call('ZADD', due, dueAt, id)
  ringBell(bell)
end
return 'done'`);

export function openCommit(redis: Redis) {
  const commitInGroup = makeGroup((members: readonly AttemptMember[]) => commitMembers(redis, members));

  return {
    /**
     * Writes the new state, its events and a step of the timeline, clears the hand-over and marks when the email comes again, atomically.
     * False when the stored version changed, or another attempt is handing the email over.
     * @param attempt id of the attempt that is settled; '' when nothing was handed over
     */
    commit(email: StoredEmail, after: Commit, attempt: string, now: number): Promise<boolean> {
      const { id, lane } = email.facts;
      const names = attemptKeys.inOrder({
        email: keys.email(id),
        again: keys.again(lane),
        campaign: campaignKey(email),
      });
      const own = attemptArguments.inOrder({ id, attempt, againAt: nextDue(after.state) ?? '' });
      const args = [...own, ...commitArgumentsOf(email, after, now)];
      return commitInGroup({ claim: id, bytes: 0, names, now, args });
    },

    /**
     * The same for a change that a caller asked for: also lost while a hand-over is open. An email that is due then goes to the queue again.
     * @param change distinguishes it from another change to the same state
     */
    async commitChange(email: StoredEmail, after: Commit, change: string, now: number): Promise<ChangeCommitted> {
      const { id, lane } = email.facts;
      const names = changeKeys.inOrder({
        email: keys.email(id),
        content: keys.content(id),
        due: keys.due(lane),
        again: keys.again(lane),
        campaign: campaignKey(email),
      });
      const packed = after.content === undefined ? '' : await packContent(after.content);
      const own = changeArguments.inOrder({ change, id, dueAt: nextDue(after.state) ?? '', packed });
      const args = [...own, ...commitArgumentsOf(email, after, now)];
      return (await changeScript(redis, [...commitNames, ...names], args)) as ChangeCommitted;
    },
  };
}

type AttemptMember = Member & { readonly names: readonly string[]; readonly now: number; readonly args: Arguments };

async function commitMembers(redis: Redis, members: readonly AttemptMember[]): Promise<boolean[]> {
  const names = [...commitNames, ...members.flatMap((member) => member.names)];
  const args = [members[0]?.now ?? 0, ...members.flatMap((member) => member.args)];
  return areOnes(await attemptsScript(redis, names, args));
}

/** The key of the email's campaign; for an email without one its own key, which is then not written to as a campaign. */
export function campaignKey({ facts: { id, campaignId } }: Pick<StoredEmail, 'facts'>): string {
  return campaignId === null ? keys.email(id) : keys.campaign(campaignId);
}
