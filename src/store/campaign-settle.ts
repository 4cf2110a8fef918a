/** Settles places of campaigns in groups, atomically. A repeat of a step changes nothing and gets the same answer as the first time. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { chunkSize, countOf, type FinalMark, placeMarks } from '../domain/campaign.ts';
import type { PlaceOutcome } from '../domain/campaign-email.ts';
import type { EmailEvent } from '../domain/event.ts';
import type { RecipientStatus } from '../domain/recipient.ts';
import type { Suppression } from '../domain/suppression.ts';
import { countMoved } from './campaign-count.ts';
import { packOutcomes } from './campaign-outcomes.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { packEvent } from './record.ts';
import { script } from './redis.ts';
import { addSuppressions, packSuppression, suppressionArguments } from './suppressions.ts';

/** The outcome of a recipient that stays at its place. */
export type PlaceSettled = {
  readonly campaignId: string;
  readonly from: 'queued' | 'handing';
  readonly to: FinalMark;
  readonly outcome: PlaceOutcome;
  readonly events: readonly EmailEvent[];
  readonly suppressions: readonly Suppression[];
};

/** Outcomes of places are collected for this long: a few at a time compress badly, and each command has its cost. */
const usualGatherMs = 15;
const eventBytes = 300;

/** @returns a function that writes the outcome of a place, its events and the counts, atomically; false when another worker settled it */
export function makeSettle(redis: Redis, gatherMs = usualGatherMs) {
  const settle = makeGroup((members: readonly SettleMember[]) => settleMembers(redis, members), gatherMs);

  return async function settlePlace(settled: PlaceSettled, now: number): Promise<boolean> {
    const bytes = settled.events.length * eventBytes;
    const verdict = await settle({ claim: null, bytes, settled, now });
    return verdict === 'again' ? settlePlace(settled, now) : verdict === 'done';
  };
}

type SettleMember = Member & { readonly settled: PlaceSettled; readonly now: number };
type Verdict = 'done' | 'lost' | 'again';

async function settleMembers(redis: Redis, members: readonly SettleMember[]): Promise<Verdict[]> {
  // The outcomes of each chunk are packed together.
  const groups = Map.groupBy(members, ({ settled: { campaignId, outcome } }) =>
    outcomesName(campaignId, outcome.place),
  );
  const { outbox, suppressions, suppressionIds, campaignsDue: due } = keys;
  const names = settleKeys.inOrder({ outbox, suppressionsKey: suppressions, suppressionIds, due });
  const args: Argument[] = [members[0]?.now ?? 0];
  for (const [outcomes, group] of groups) {
    const all = group.map(({ settled }) => settled);
    const id = all[0]?.campaignId ?? '';
    names.push(...groupKeys.inOrder({ campaign: keys.campaign(id), marks: keys.campaignMarks(id), outcomes }));
    args.push(...groupArgs(all));
  }
  const answers = (await settleScript(redis, names, args)) as Verdict[];
  const verdicts = new Map([...groups.values()].flat().map((member, index) => [member, answers[index] ?? 'lost']));
  return members.map((member) => verdicts.get(member) ?? 'lost');
}

function outcomesName(campaignId: string, place: number): string {
  return keys.campaignOutcomes(campaignId, Math.floor(place / chunkSize));
}

type Argument = string | number | Buffer;

function groupArgs(group: readonly PlaceSettled[]): Argument[] {
  const events = group.flatMap((settled) => settled.events.map(packEvent));
  const suppressions = group.flatMap((settled) => settled.suppressions);
  return [
    ...groupArguments.inOrder({
      packedOutcomes: packOutcomes(group.map(({ outcome }) => outcome)),
      placeCount: group.length,
      eventCount: events.length,
      suppressionCount: suppressions.length,
    }),
    ...group.flatMap(({ outcome: { place }, from, to }) =>
      placeArguments.inOrder({ place, from: placeMarks[from], to: placeMarks[to] }),
    ),
    ...events,
    ...suppressions.flatMap(packSuppression),
  ];
}

/** The count that each mark belongs to. */
const counted = Object.entries(placeMarks)
  .filter(([mark]) => mark !== 'absent' && mark !== 'left')
  .map(([mark, byte]) => `${byte} = 'n:${countOf(mark === 'handing' ? 'queued' : (mark as RecipientStatus))}'`);

/** What all groups share. */
const settleKeys = named('outbox', 'suppressionsKey', 'suppressionIds', 'due');

/** Of each group. */
const groupKeys = named('campaign', 'marks', 'outcomes');

/** Of each group; behind them are its places, its events and its suppressions. */
const groupArguments = named('packedOutcomes', 'placeCount', 'eventCount', 'suppressionCount');

/** Of each place: `from` and `to` are its old mark and its new one. */
const placeArguments = named('place', 'from', 'to');

/**
 * KEYS settleKeys, then groupKeys of each group. ARGV now, then for each group: groupArguments; placeArguments of each place;
 * the events; suppressionArguments of each suppression. A group is written only if all its places have their old marks. Answers for each place
 * `done`, `lost`, or `again` when only other places of its group prevented the write.
 */
const settleScript = script(
  `${addSuppressions}${countMoved}
local counted = {${counted.join(', ')}}
${settleKeys.read('KEYS')}
local now = ARGV[1]
local answers, at = {}, 2
for keyAt = ${settleKeys.count + 1}, #KEYS, ${groupKeys.count} do
  ${groupKeys.read('KEYS', 'keyAt')}
  ${groupArguments.read('ARGV', 'at')}
  local places = at + ${groupArguments.count}
  local events = places + ${placeArguments.count} * placeCount
  local suppressions = events + eventCount
  local ends = suppressions + ${suppressionArguments.count} * suppressionCount
  local verdicts, fit = {}, 0
  for i = places, events - 1, ${placeArguments.count} do
    ${placeArguments.read('ARGV', 'i')}
    local mark = redis.call('GETRANGE', marks, place, place)
    local verdict = mark == from and 'again' or (mark == to and 'done' or 'lost')
    if verdict == 'again' then fit = fit + 1 end
    verdicts[#verdicts + 1] = verdict
  end
  local isWritten = fit == tonumber(placeCount)
  if isWritten then
    local moved = {}
    for i = places, events - 1, ${placeArguments.count} do
      ${placeArguments.read('ARGV', 'i')}
      redis.call('SETRANGE', marks, place, to)
      local move = from .. to
      moved[move] = (moved[move] or 0) + 1
    end
    redis.call('RPUSH', outcomes, packedOutcomes)
    for i = events, suppressions - 1 do redis.call('XADD', outbox, '*', 'event', ARGV[i]) end
    addSuppressions(suppressionsKey, suppressionIds, suppressions, ends - 1)
    for move, n in pairs(moved) do
      countMoved(campaign, outbox, due, now, counted[string.sub(move, 1, 1)], counted[string.sub(move, 2)], n)
    end
  end
  for _, verdict in ipairs(verdicts) do answers[#answers + 1] = isWritten and 'done' or verdict end
  at = ends
end
return answers`,
  'at_once',
);
