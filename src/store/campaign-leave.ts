/** Lets the email to a recipient of a campaign leave its place: from then on it has a record of its own, like any other email. */
import type { Redis } from 'ioredis';
import { type PlaceMark, placeMarks } from '../domain/campaign.ts';
import type { Content, StoredEmail } from '../domain/email.ts';
import { placeIn } from '../domain/id.ts';
import { nextDue } from '../domain/recipient.ts';
import type { TimelineStep } from '../domain/timeline.ts';
import { packContent } from './content.ts';
import { markAgain } from './due.ts';
import {
  type ChangeCommitted,
  type Commit,
  commit,
  commitArguments,
  commitArgumentsOf,
  commitKeys,
  commitNames,
} from './email-commit.ts';
import { addPostings, postingsOf } from './email-index.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { packFacts, packState, packStep } from './record.ts';
import { script } from './redis.ts';

export type CampaignLeave = ReturnType<typeof openCampaignLeave>;

/** An email at its place, as `placeEmail` returns it. */
type Leaving = {
  readonly email: StoredEmail;
  readonly mark: PlaceMark;
  /** Null when it cannot be made. */
  readonly content: Content | null;
  /** What became of it at its place: the beginning of its timeline. */
  readonly step?: TimelineStep | undefined;
};

export function openCampaignLeave(redis: Redis) {
  return {
    /**
     * Makes a record of the email as it was at its place, and commits its next state, atomically. Lost when the place has another mark.
     * Without content the next state must not be due.
     * @param change id of a change that a caller asked for; '' for an attempt
     */
    async leave(
      { email, mark, content, step }: Leaving,
      after: Commit,
      change: string,
      now: number,
    ): Promise<ChangeCommitted> {
      const { facts, state } = email;
      const dueAt = nextDue(after.state);
      if (dueAt !== null && content === null) return 'content_gone';
      const { campaignId, place } = placeIn(facts.id);
      const names = leaveKeys.inOrder({
        email: keys.email(facts.id),
        content: keys.content(facts.id),
        again: keys.again(facts.lane),
        campaign: keys.campaign(campaignId),
        marks: keys.campaignMarks(campaignId),
      });
      const own = leaveArguments.inOrder({
        place,
        mark: placeMarks[mark],
        id: facts.id,
        facts: packFacts(facts),
        state: packState(state, facts),
        packed: content === null ? '' : await packContent(content),
        postings: postingsOf(facts, state),
        step: step ? packStep(step) : '',
        change,
        againAt: dueAt ?? '',
      });
      const args = [...own, ...commitArgumentsOf(email, after, now)];
      return (await leaveScript(redis, [...commitNames, ...names], args)) as ChangeCommitted;
    },
  };
}

const leaveKeys = named('email', 'content', 'again', 'campaign', 'marks');
const leaveArguments = named(
  'place',
  'mark', // that it has there
  'id',
  'facts',
  'state',
  'packed', // its content, or ''
  'postings',
  'step', // the first of its timeline, or ''
  'change', // id, or ''
  'againAt', // when it comes again, or ''
);

/** KEYS `commitKeys`, `leaveKeys`; ARGV `leaveArguments`, then what `commit` takes. Answers `done`, `lost` or `campaign_canceled`. */
const leaveScript = script(`${markAgain}${addPostings}${commit}
${leaveKeys.read('KEYS', commitKeys.count + 1)}
${leaveArguments.read('ARGV')}
local at = ${leaveArguments.count + 1}
${commitArguments.read('ARGV', 'at', ['now', 'newCount'])}
local standing = redis.call('GETRANGE', marks, place, place)
if standing == mark then
  if isTooLate(campaign, newCount) then return 'campaign_canceled' end
  redis.call('SETRANGE', marks, place, '${placeMarks.left}')
  redis.call('HSET', email, 'facts', facts, 'state', state, 'version', 0)
  if packed ~= '' then redis.call('SET', content, packed) end
  if step ~= '' then redis.call('HSET', email, 't0', step) end
  addPostings(index, postings)
elseif standing ~= '${placeMarks.left}' then
  return 'lost'
end
if not commit(email, campaign, at, change, '') then return 'lost' end
if change ~= '' then redis.call('HSET', email, 'change', change) end
if againAt ~= '' and standing ~= '${placeMarks.left}' then markAgain(bell, again, now, againAt, id) end
return 'done'`);
