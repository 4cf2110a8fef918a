/** Lets the email to a recipient of a campaign leave its place: from then on it has a record of its own, like any other email. */
import type { Redis } from 'ioredis';
import { type PlaceMark, placeMarks } from '../domain/campaign.ts';
import type { Content, StoredEmail } from '../domain/email.ts';
import { placeIn } from '../domain/id.ts';
import { nextDue } from '../domain/recipient.ts';
import type { TimelineStep } from '../domain/timeline.ts';
import { packContent } from './content.ts';
import { markAgain } from './due.ts';
import { addPostings, postingsOf } from './email-index.ts';
import { commit } from './email-scripts.ts';
import { type ChangeCommitted, type Commit, commitArgs, committed } from './emails.ts';
import { keys } from './keys.ts';
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
     * @param changeId of a change that a caller asked for; '' for an attempt
     */
    async leave(
      { email, mark, content, step }: Leaving,
      after: Commit,
      changeId: string,
      now: number,
    ): Promise<ChangeCommitted> {
      const { facts, state } = email;
      const dueAt = nextDue(after.state);
      if (dueAt !== null && content === null) return 'content_gone';
      const { campaignId, place } = placeIn(facts.id);
      const names = [
        ...committed,
        ...[keys.email(facts.id), keys.content(facts.id), keys.again(facts.lane)],
        ...[keys.campaign(campaignId), keys.campaignMarks(campaignId)],
      ];
      const packed = content === null ? '' : await packContent(content);
      const as = [
        packFacts(facts),
        packState(state, facts),
        packed,
        postingsOf(facts, state),
        step ? packStep(step) : '',
      ];
      const args = [place, placeMarks[mark], facts.id, ...as, changeId, dueAt ?? '', now];
      return (await leaveScript(redis, names, [...args, ...commitArgs(email, after, now)])) as ChangeCommitted;
    },
  };
}

/**
 * KEYS bell outbox index suppressions suppressionIds ended campaignsDue email content again campaign marks; ARGV place mark id facts state
 * content postings, its first timeline step or '', change id or '', when it comes again or '', now, then what `commit` takes. Answers `done`, `lost` or `campaign_canceled`.
 */
const leaveScript = script(`${markAgain}${addPostings}${commit}
local email, content, again, campaign, marks = KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local place, id, change, at = ARGV[1], ARGV[3], ARGV[9], ARGV[10]
local mark = redis.call('GETRANGE', marks, place, place)
if mark == ARGV[2] then
  if isTooLate(campaign, ARGV[20]) then return 'campaign_canceled' end
  redis.call('SETRANGE', marks, place, '${placeMarks.left}')
  redis.call('HSET', email, 'facts', ARGV[4], 'state', ARGV[5], 'version', 0)
  if ARGV[6] ~= '' then redis.call('SET', content, ARGV[6]) end
  if ARGV[8] ~= '' then redis.call('HSET', email, 't0', ARGV[8]) end
  addPostings(KEYS[3], ARGV[7])
elseif mark ~= '${placeMarks.left}' then
  return 'lost'
end
if not commit(email, campaign, 12, change, '') then return 'lost' end
if change ~= '' then redis.call('HSET', email, 'change', change) end
if at ~= '' and mark ~= '${placeMarks.left}' then markAgain(KEYS[1], again, ARGV[11], at, id) end
return 'done'`);
