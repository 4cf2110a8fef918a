/** Moves a campaign from one status to another: status, times, its next turn and the event, in one step. */
import type { Redis } from 'ioredis';
import { type CampaignMove, type CampaignStatus, campaignMoves } from '../domain/campaign.ts';
import { idempotencyMs } from '../domain/idempotency.ts';
import { countMoved } from './campaign-count.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

export type AskedMove = {
  readonly move: CampaignMove;
  /** Id of this move: for a day a repeat of the command or the request after a lost answer changes nothing. */
  readonly changeId: string;
  readonly now: number;
  /** When it is to begin, with `schedule`; milliseconds since the epoch. */
  readonly at: number | null;
};

type Moved =
  /** `repeated`: this move was made before; the campaign may have another status by now. */
  | { readonly kind: 'moved' | 'repeated' | 'refused'; readonly status: CampaignStatus }
  /** The campaign has no recipients. */
  | { readonly kind: 'empty'; readonly status: CampaignStatus }
  | { readonly kind: 'gone' };

/** Characters of the last eight moves, each as its id and its time with a space after both: a repeat may come after other moves. */
const changeChars = 8 * (30 + 14);

const moveKeys = named('campaign', 'due', 'outbox', 'bell');

const moveArguments = named(
  'change',
  'now',
  'from', // the allowed old statuses, each followed by a space
  'to',
  'event', // without its noun; '' for none
  'nextTurn', // its time, by the clock of Redis; '' for at once
  'knownSince', // since when the ids of moves are known
);

/**
 * A canceled campaign has turns while recipients are pending. A campaign that would run without pending recipients, because all were canceled
 * one by one, is completed.
 */
const moveScript = script(`${countMoved}
-- The newest come first. An earlier build kept no time after an id: such a move counts as made.
local function isMade(moves, change, since)
  local _, last = string.find(' ' .. moves, ' ' .. change .. ' ', 1, true)
  local at = last and string.match(moves, '^%d*', last)
  return last ~= nil and (at == '' or tonumber(at) > since)
end
${moveKeys.read('KEYS')}
${moveArguments.read('ARGV')}
local turn = tonumber(nextTurn) or redisNow()
local stored = redis.call('HMGET', campaign, 'status', 'change', 'n:recipients', 'n:pending', 'scheduledAt')
local status, pending = stored[1], tonumber(stored[4] or 0)
if not status then return {'gone', ''} end
if isMade(stored[2] or '', change, tonumber(knownSince)) then return {'repeated', status} end
if not string.find(from, status .. ' ', 1, true) then return {'refused', status} end
if to ~= 'canceled' and tonumber(stored[3] or 0) == 0 then return {'empty', status} end
-- What stops it comes about in a full Redis as well, which takes what follows a write that needs no room.
if to ~= 'running' then redis.call('HDEL', campaign, 'pace', 'paceAt', 'paceLeft', 'paceEnds') end
local moves = string.sub(change .. ' ' .. now .. ' ' .. (stored[2] or ''), 1, ${changeChars})
redis.call('HSET', campaign, 'status', to, 'change', moves)
if to == 'scheduled' then redis.call('HSET', campaign, 'scheduledAt', turn) end
if to == 'running' then
  redis.call('HSETNX', campaign, 'startedAt', now)
  redis.call('HSET', campaign, 'movedAt', now)
  if tonumber(stored[5] or 0) > tonumber(now) then redis.call('HDEL', campaign, 'scheduledAt') end
end
if to == 'paused' then redis.call('HSET', campaign, 'pausedAt', now) else redis.call('HDEL', campaign, 'pausedAt') end
if to == 'canceled' then redis.call('HSET', campaign, 'endedAt', now) end
local id = campaignIdIn(campaign)
if to == 'paused' or (to == 'canceled' and pending == 0) then
  redis.call('ZREM', due, id)
else
  redis.call('ZADD', due, turn, id)
  if turn <= redisNow() then redis.call('PUBLISH', bell, id) end
end
if event ~= '' then tellOfCampaign(campaign, outbox, now, event) end
if to == 'running' and pending == 0 then
  to = 'completed'
  completeCampaign(campaign, outbox, due, now)
end
return {'moved', to}`);

/** Moves a campaign, if its status allows that. */
export async function moveCampaign(redis: Redis, id: string, { move, changeId, now, at }: AskedMove): Promise<Moved> {
  const { from, to, event } = campaignMoves[move];
  const statuses = from.map((status) => `${status} `).join('');
  const { campaignsDue: due, outbox, campaignsBell: bell } = keys;
  const names = moveKeys.inOrder({ campaign: keys.campaign(id), due, outbox, bell });
  const args = moveArguments.inOrder({
    change: changeId,
    now,
    from: statuses,
    to,
    event: event?.slice('campaign.'.length) ?? '',
    nextTurn: at ?? '',
    knownSince: now - idempotencyMs,
  });
  const [kind, status] = (await moveScript(redis, names, args)) as [Moved['kind'], CampaignStatus];
  return kind === 'gone' ? { kind } : { kind, status };
}
