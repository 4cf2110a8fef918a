/** The atomic steps for mail that shares the rates of a transport, except its release (budget-release.ts). */
import { ringBell } from './bell.ts';
import { budget, campaignTokens } from './budget-lua.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

/** The mark of a parked email in `again` has this fraction: all other marks are whole milliseconds. */
export const parkedFraction = 0.5;

/** In place of a mark: without a token the email is not parked. */
export const trialMark = 'trial';

/** The keys of each script. */
export const budgetKeys = named(
  'budgetKey',
  'permitsKey',
  'parkedTransactional',
  'parkedBulk',
  'againTransactional',
  'againBulk',
  'bell',
  'parkedFor',
);

/** Lua: the keys by their names; those of a lane (1 transactional, 2 bulk) are `parkedIn[lane]` and `againIn[lane]`. */
export const readBudgetKeys = `${budgetKeys.read('KEYS')}
local parkedIn, againIn = {parkedTransactional, parkedBulk}, {againTransactional, againBulk}
`;

/** Lua: the name of the transport, the last part but one of a key of its parked mail: it has no colon. */
export const nameOf = `string.match(parkedTransactional, '([^:]+):[^:]+$')`;

/** What the scripts that admit and park are given of each email. */
export const emailArguments = named(
  'id',
  'lane', // 1 transactional, 2 bulk
  'dueAt',
  'mark', // at the end of its time, which it bears meanwhile among what comes again
);

/** Lua: parks; 1 when it was not parked before. The transport is noted with it, so that its mail is found also after the plan dropped it. */
const park = `
local function park(id, lane, dueAt, mark)
  redis.call('SADD', parkedFor, ${nameOf})
  redis.call('ZADD', againIn[lane], mark, id)
  return redis.call('ZADD', parkedIn[lane], dueAt, id)
end
`;

/** A permit lapses after this long: a released email that has not used it is taken for lost. */
export const permitMs = 60_000;

/**
 * Gives back what an unused permit took of the quotas, to the part of their windows that it was taken in. A rate per second gets nothing back:
 * its time has passed, and mail that is released and parked again and again would never pause.
 */
export const giveVoided = `
local function giveVoided(budget, lapsesAt)
  local takenAt = tonumber(lapsesAt) - ${permitMs}
  budget.giveToQuotas(1, takenAt)
end
`;

/** Parks without asking. ARGV now, number of rates, count and window of each, then emailArguments of each email. A permit is void then. */
export const parkScript = script(
  `${readBudgetKeys}${budget}${giveVoided}${park}
local rates, first = ratesFrom(2)
local budget = openBudget(budgetKey, tonumber(ARGV[1]), rates)
for i = first, #ARGV, ${emailArguments.count} do
  ${emailArguments.read('ARGV', 'i')}
  local lapsesAt = redis.call('ZSCORE', permitsKey, id)
  if lapsesAt then
    redis.call('ZREM', permitsKey, id)
    giveVoided(budget, lapsesAt)
  end
  park(id, tonumber(lane), dueAt, mark)
end
budget.keep()`,
  'at_once',
);

/** Voids permits. ARGV now, number of rates, count and window of each, then id and lapse of each permit. One with another lapse is later: it stays. */
export const voidScript = script(
  `${readBudgetKeys}${budget}${giveVoided}
local rates, first = ratesFrom(2)
local budget = openBudget(budgetKey, tonumber(ARGV[1]), rates)
for i = first, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', permitsKey, ARGV[i]) or 0) == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', permitsKey, ARGV[i])
    giveVoided(budget, ARGV[i + 1])
  end
end
budget.keep()`,
  'at_once',
);

/** So long after it came to a worker that cannot take it, a released email is due again. */
const passedOnMs = 25;
/** Later after this part of the time since its release: the workers that could take it may be busy or frozen. */
const passedOnPart = 20;

/**
 * Passes an email on, with the permit that it has: it is due again soon, for whichever worker takes it. ARGV now, id, lane as above. Answers 0
 * when it has no valid permit. The permit lapses a millisecond sooner each time: it is another one than the worker found, which is void then.
 */
export const passOnScript = script(`${readBudgetKeys}${ringBell}
local now, id, lane = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local ends = tonumber(redis.call('ZSCORE', permitsKey, id) or 0) - 1
if ends <= now then return 0 end
redis.call('ZADD', permitsKey, ends, id)
local wait = math.max(${passedOnMs}, math.floor((now + ${permitMs} - ends) / ${passedOnPart}))
redis.call('ZADD', againIn[lane], now + wait, id)
ringBell(bell)
return 1`);

/**
 * Admits emails or parks them. ARGV now, number of rates, count and window of each, then emailArguments of each email; one with the mark '' is
 * kept by its campaign and not parked, and one with `trialMark` is not parked either. The tokens of a permit are counted when it is used: the
 * message leaves then, and counts in the window that begins then. Answers for each 1 when it may go, else 0.
 */
export const admitScript = script(
  `${readBudgetKeys}${budget}${giveVoided}${campaignTokens}${park}
local now = tonumber(ARGV[1])
local rates, first = ratesFrom(2)
local budget = openBudget(budgetKey, now, rates)
local campaigns = openCampaignTokens(budgetKey, now, budget)
local permits = redis.call('ZCARD', permitsKey)
local parked = {redis.call('ZCARD', parkedTransactional), redis.call('ZCARD', parkedBulk)}
local function usePermit(id)
  local ends = permits > 0 and redis.call('ZSCORE', permitsKey, id)
  if not ends then return false end
  redis.call('ZREM', permitsKey, id)
  giveVoided(budget, ends)
  return tonumber(ends) > now and budget.takeOfQuotas()
end
local function isFirst(id, lane, dueAt)
  if lane == 2 and parked[1] > 0 then return false end
  if parked[lane] == 0 then return true end
  local head = redis.call('ZRANGE', parkedIn[lane], 0, 0, 'WITHSCORES')
  local at = tonumber(head[2])
  return dueAt < at or (dueAt == at and id <= head[1])
end
local function unpark(id, lane)
  if parked[lane] == 0 or redis.call('ZREM', parkedIn[lane], id) == 0 then return end
  redis.call('ZREM', againIn[lane], id)
  parked[lane] = parked[lane] - 1
end
local answer = {}
for i = first, #ARGV, ${emailArguments.count} do
  ${emailArguments.read('ARGV', 'i')}
  lane = tonumber(lane)
  local isOfCampaign = mark == ''
  local goes = usePermit(id) or (isOfCampaign and campaigns.use()) or (isFirst(id, lane, tonumber(dueAt)) and budget.take())
  if isOfCampaign and parked[1] + parked[2] > 0 then campaigns.ask() end
  if goes then
    unpark(id, lane)
  elseif not isOfCampaign and mark ~= '${trialMark}' then
    parked[lane] = parked[lane] + park(id, lane, dueAt, mark)
  end
  answer[#answer + 1] = goes and 1 or 0
end
budget.keep()
campaigns.keep()
return answer`,
  'at_once',
);

/** Gives tokens back. ARGV now, how many, when they were taken, number of rates, count and window of each. */
export const giveBackScript = script(`${readBudgetKeys}${budget}
local rates = ratesFrom(4)
local budget = openBudget(budgetKey, tonumber(ARGV[1]), rates)
budget.give(tonumber(ARGV[2]), tonumber(ARGV[3]))
budget.keep()`);

/** What is left. ARGV now, number of rates, count and window of each; answers as `left()` of a budget does. */
export const leftScript = script(`${readBudgetKeys}${budget}
local rates = ratesFrom(2)
return openBudget(budgetKey, tonumber(ARGV[1]), rates).left()`);
