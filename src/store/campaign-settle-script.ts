/** The atomic step that settles places of campaigns. A repeat of it changes nothing and gets the same answer as the first time. */
import { countOf, placeMarks } from '../domain/campaign.ts';
import type { RecipientStatus } from '../domain/recipient.ts';
import { countMoved } from './campaign-count.ts';
import { script } from './redis.ts';
import { addSuppression } from './suppressions.ts';

/** The count that each mark belongs to. */
const counted = Object.entries(placeMarks)
  .filter(([mark]) => mark !== 'absent' && mark !== 'left')
  .map(([mark, byte]) => `${byte} = 'n:${countOf(mark === 'handing' ? 'queued' : (mark as RecipientStatus))}'`);

/**
 * KEYS outbox suppressions suppressionIds campaignsDue, then for each group: campaign marks outcomes.
 * ARGV now, then for each group: packed outcomes, number of places, of events and of suppressions; place, old mark and new mark of each; the
 * events; field, value and entry of each suppression. A group is written only if all its places have their old marks. Answers for each place
 * `done`, `lost`, or `again` when only other places of its group prevented the write.
 */
export const settleScript = script(
  `${addSuppression}${countMoved}
local counted = {${counted.join(', ')}}
local answers, at = {}, 2
for key = 5, #KEYS, 3 do
  local campaign, marks, outcomes = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local places, events = tonumber(ARGV[at + 1]), at + 4 + 3 * tonumber(ARGV[at + 1])
  local suppressions = events + tonumber(ARGV[at + 2])
  local ends = suppressions + 3 * tonumber(ARGV[at + 3])
  local verdicts, fit = {}, 0
  for i = at + 4, events - 1, 3 do
    local mark = redis.call('GETRANGE', marks, ARGV[i], ARGV[i])
    local verdict = mark == ARGV[i + 1] and 'again' or (mark == ARGV[i + 2] and 'done' or 'lost')
    if verdict == 'again' then fit = fit + 1 end
    verdicts[#verdicts + 1] = verdict
  end
  if fit == places then
    local moved = {}
    for i = at + 4, events - 1, 3 do
      redis.call('SETRANGE', marks, ARGV[i], ARGV[i + 2])
      local move = ARGV[i + 1] .. ARGV[i + 2]
      moved[move] = (moved[move] or 0) + 1
    end
    redis.call('RPUSH', outcomes, ARGV[at])
    for i = events, suppressions - 1 do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i]) end
    for i = suppressions, ends - 1, 3 do addSuppression(KEYS[2], KEYS[3], ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
    for move, n in pairs(moved) do
      countMoved(campaign, KEYS[1], KEYS[4], ARGV[1], counted[string.sub(move, 1, 1)], counted[string.sub(move, 2)], n)
    end
  end
  for _, verdict in ipairs(verdicts) do answers[#answers + 1] = fit == places and 'done' or verdict end
  at = ends
end
return answers`,
  'at_once',
);
