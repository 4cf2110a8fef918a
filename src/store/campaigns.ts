/** Stored campaigns: creates, lists, reads, changes and removes them. `campaign-places.ts` reads their recipients. */
import type { Redis } from 'ioredis';
import {
  type Campaign,
  type CampaignContent,
  type CampaignHead,
  type CampaignState,
  type CampaignStatus,
  campaignCounts,
} from '../domain/campaign.ts';
import type { Draft } from '../domain/campaign-request.ts';
import { type AskedMove, moveCampaign } from './campaign-moves.ts';
import { openCampaignPlaces } from './campaign-places.ts';
import { removeCampaign } from './campaign-remove.ts';
import { pack, unpack } from './content.ts';
import { type CreationMark, storedOnce } from './creations.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';
import { type Cursor, firstWanted, type Looked, type PageRequest, walk } from './walk.ts';

export type Campaigns = ReturnType<typeof openCampaigns>;

type DraftChanged =
  | 'changed'
  /** The campaign was changed, sent or removed since it was read. */
  | 'moved_on'
  /** It has recipients, who were read by the types that its variables had. */
  | 'has_recipients';

const addKeys = named('campaign', 'campaigns', 'claim');
const addArguments = named(
  'id',
  'head',
  'content',
  'scheduledAt', // or ''
  'claimStored', // the claim once it is stored; '' for none
);

/** An existing or removed campaign stays as it is. */
const addScript = script(`${storedOnce}
${addKeys.read('KEYS')}
${addArguments.read('ARGV')}
if isStored(claim, claimStored) then return 0 end
noteStored(claim, claimStored)
if redis.call('HSETNX', campaign, 'head', head) == 0 then return 0 end
redis.call('HSET', campaign, 'content', content, 'status', 'draft', 'chunks', 0, 'cursor', 0, 'n:recipients', 0, 'n:pending', 0)
if scheduledAt ~= '' then redis.call('HSET', campaign, 'scheduledAt', scheduledAt) end
redis.call('ZADD', campaigns, 0, id)
return 1`);

const changeKeys = named('campaign', 'uploads', 'uploadTimes');
const changeArguments = named(
  'was', // the old head
  'is', // the new one
  'content',
  'scheduledAt', // or ''
  'typesSince', // the new revision if a variable gets another type; else ''
);

/**
 * When a variable gets another type, uploads begin anew: they added nobody yet, and what was not valid by the old type may be by the new one. A
 * repeat gets the same answer as the first command.
 */
const changeScript = script(`
${changeKeys.read('KEYS')}
${changeArguments.read('ARGV')}
local stored = redis.call('HMGET', campaign, 'head', 'status', 'content', 'scheduledAt')
if stored[1] == is and stored[3] == content and (stored[4] or '') == scheduledAt then return 'changed' end
if stored[1] ~= was or stored[2] ~= 'draft' then return 'moved_on' end
if typesSince ~= '' then
  if tonumber(redis.call('HGET', campaign, 'n:recipients')) > 0 then return 'has_recipients' end
  redis.call('HSET', campaign, 'typesSince', typesSince)
  redis.call('UNLINK', uploads, uploadTimes)
end
redis.call('HSET', campaign, 'head', is, 'content', content)
if scheduledAt == '' then redis.call('HDEL', campaign, 'scheduledAt') else redis.call('HSET', campaign, 'scheduledAt', scheduledAt) end
return 'changed'`);

const counted = [...campaignCounts, 'recipients'] as const;
/** The fields that are read of a campaign. Not its content: that may be megabytes, and a page has a hundred campaigns. */
const fieldNames = [
  ...['head', 'status', 'scheduledAt', 'startedAt', 'endedAt', 'pace', 'paceEnds'],
  ...counted.map((name) => `n:${name}`),
];

/** Campaigns looked at for one page, some at a time: a limited key may see few of them. */
const usualMostLookedAt = 1_000;
const leastAtATime = 20;

/** Why nothing of a campaign is sent. */
type CampaignStop = { readonly kind: 'paused'; readonly at: number } | { readonly kind: 'canceled' };

export function openCampaigns(redis: Redis, mostLookedAt = usualMostLookedAt) {
  /** Null when there is none. */
  async function get(id: string): Promise<Campaign | null> {
    const [stored, [seconds]] = await Promise.all([redis.hmget(keys.campaign(id), ...fieldNames), redis.time()]);
    const fields = Object.fromEntries(fieldNames.map((name, n) => [name, stored[n] ?? undefined]));
    return fields.head === undefined
      ? null
      : { head: JSON.parse(fields.head), state: stateOf(fields, Number(seconds) * 1_000) };
  }

  async function* list(
    cursor: Cursor,
    count: number,
    isWanted: (head: CampaignHead) => boolean,
  ): AsyncGenerator<Looked<Campaign & { readonly id: string }>> {
    for await (const ids of walk(redis, keys.campaigns, cursor, count)) {
      // Between the two reads a campaign may be taken away.
      for (const [n, one] of (await Promise.all(ids.map(get))).entries()) {
        const id = ids[n] ?? '';
        yield { id, item: one !== null && isWanted(one.head) ? { id, ...one } : null };
      }
    }
  }

  return {
    get,

    /** Only the status; null when there is no such campaign. */
    status: (id: string) => redis.hget(keys.campaign(id), 'status') as Promise<CampaignStatus | null>,

    /** Whether it is paused, since a time (milliseconds since the epoch), or canceled; else null. */
    async stopped(id: string): Promise<CampaignStop | null> {
      const [status, at] = await redis.hmget(keys.campaign(id), 'status', 'pausedAt');
      if (status === 'canceled') return { kind: 'canceled' };
      return status === 'paused' ? { kind: 'paused', at: Number(at) } : null;
    },

    /** Adds a draft; one that is stored already stays as it is. @param mark claim of the Idempotency-Key */
    async add({ head, content, scheduledAt }: Draft, mark: CreationMark | null = null): Promise<void> {
      const campaign = keys.campaign(head.id);
      const names = addKeys.inOrder({ campaign, campaigns: keys.campaigns, claim: mark?.key ?? campaign });
      const args = addArguments.inOrder({
        id: head.id,
        head: JSON.stringify(head),
        content: await packJson(content),
        scheduledAt: scheduledAt ?? '',
        claimStored: mark?.stored ?? '',
      });
      await addScript(redis, names, args);
    },

    /**
     * @param was the head, read before the content: of two changes of the same draft one is refused
     * @param isRetyped whether a variable gets another type: refused once there are recipients, and uploads that began before add none
     */
    async change(was: CampaignHead, { head, content, scheduledAt }: Draft, isRetyped = false): Promise<DraftChanged> {
      const revised = { ...head, revision: (was.revision ?? 0) + 1 };
      const names = changeKeys.inOrder({
        campaign: keys.campaign(head.id),
        uploads: keys.campaignUploads(head.id),
        uploadTimes: keys.campaignUploadTimes(head.id),
      });
      const args = changeArguments.inOrder({
        was: JSON.stringify(was),
        is: JSON.stringify(revised),
        content: await packJson(content),
        scheduledAt: scheduledAt ?? '',
        typesSince: isRetyped ? revised.revision : '',
      });
      return (await changeScript(redis, names, args)) as DraftChanged;
    },

    move: (id: string, asked: AskedMove) => moveCampaign(redis, id, asked),

    /** Removes a campaign with nothing left to send; otherwise answers its status. Remaining keys are removed later, a few at a time. */
    remove: (id: string) => removeCampaign(redis, id, null),

    /** Newest first; of those that are wanted, as many as are found among the next `mostLookedAt`. */
    page: ({ limit, ...cursor }: PageRequest, isWanted: (head: CampaignHead) => boolean) =>
      firstWanted(list(cursor, Math.max(limit + 1, leastAtATime), isWanted), limit, mostLookedAt),

    /** The content that letters are made of; null when it is gone. */
    async content(id: string): Promise<CampaignContent | null> {
      const packed = await redis.hgetBuffer(keys.campaign(id), 'content');
      return packed === null ? null : JSON.parse((await unpack(packed)).toString());
    },

    ...openCampaignPlaces(redis),
  };
}

function packJson(content: CampaignContent): Promise<Buffer> {
  return pack(Buffer.from(JSON.stringify(content)));
}

/** @param now by the clock of Redis */
function stateOf(fields: Readonly<Record<string, string | undefined>>, now: number): CampaignState {
  const time = (name: string) => (fields[name] === undefined ? null : Number(fields[name]));
  return {
    status: fields.status as CampaignState['status'],
    scheduledAt: time('scheduledAt'),
    startedAt: time('startedAt'),
    endedAt: time('endedAt'),
    counts: Object.fromEntries(
      counted.map((name) => [name, Number(fields[`n:${name}`] ?? 0)]),
    ) as CampaignState['counts'],
    pace: fields.pace === undefined || Number(fields.paceEnds ?? 0) < now ? null : Number(fields.pace),
  };
}
