/** Adds recipients to a campaign, each address once. A batch is added as a whole or not at all, together with the progress of its upload. */
import type { Redis } from 'ioredis';
import { type CampaignHead, type CampaignRow, type CampaignStatus, chunkSize } from '../domain/campaign.ts';
import { noProgress, type UploadProgress } from '../domain/campaign-recipient.ts';
import { maxPlaces } from '../domain/id.ts';
import { inChunks } from '../domain/in-chunks.ts';
import { type AddressMark, markOf } from './campaign-addresses.ts';
import { packChunk, unpackChunk } from './campaign-chunk.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

/** An upload that can be continued: its name, and the request that has it in hand. */
export type Upload = { readonly scope: string; readonly owner: string };

/** The number of places taken, and the recipients of the last chunk if it is not full. */
export type Tail = { readonly places: number; readonly rows: readonly CampaignRow[] };

export type Added =
  | { readonly kind: 'added'; readonly count: number; readonly progress: UploadProgress; readonly tail: Tail }
  /** The campaign takes no more recipients. */
  | { readonly kind: 'refused'; readonly status: CampaignStatus }
  | { readonly kind: 'full' | 'gone' }
  /** A variable got another type since the rows were read. */
  | { readonly kind: 'retyped' }
  /** Another request has the upload in hand. */
  | { readonly kind: 'lost' };

/** The draft by whose types the rows were read. */
type DraftRead = Pick<CampaignHead, 'id' | 'revision'>;

type Begun = { readonly kind: 'begun'; readonly progress: UploadProgress } | { readonly kind: 'busy' | 'gone' };

export type Recipients = ReturnType<typeof openRecipients>;

/** After this another request may continue the upload of a request that died. */
const uploadLeaseMs = 30_000;

/** The progress of an upload is kept this long after its last batch, for at most `maxUploads` of a campaign. */
const uploadMs = 24 * 3_600_000;
const maxUploads = 1_000;
/** Number of batch ids kept for uploads without a key: as many batches may come between a command and its repeat. */
const maxBatches = 32;
const batchIdLength = 'ch_'.length + 26;

/** KEYS sets of addresses; ARGV one of each. Answers a letter for each: whether it is there. */
const knownScript = script(`
local answer = {}
for i, key in ipairs(KEYS) do answer[i] = redis.call('SISMEMBER', key, ARGV[i]) end
return table.concat(answer)`);

/**
 * Lua: whether `owner` has the upload in hand. Its lease may have lapsed, as long as no other request took it.
 */
const isOwner = `
local function isOwner(uploads, scope, owner)
  local lease = redis.call('HGET', uploads, scope .. ':lease')
  return lease and string.sub(lease, 1, #owner + 1) == owner .. ' '
end
`;

/** A key for each chunk follows, then one for each address. */
const addKeys = named('campaign', 'marks', 'uploads', 'uploadTimes');
/** The bytes of each chunk follow, then one member for each address. */
const addArguments = named(
  'batchId',
  'expected', // number of places
  'scope', // of the upload; '' for none
  'owner',
  'leaseEnd', // of the owner
  'progress',
  'revision', // of the draft by whose types the rows were read
  'chunkCount',
);

/**
 * Answers `moved` when places were added since they were read: so an address that another request added meanwhile cannot be added twice. A
 * repeat after a lost answer is recognized by its batch id; each upload keeps its own, because other uploads go on meanwhile.
 */
const addScript = script(`${isOwner}
${addKeys.read('KEYS')}
${addArguments.read('ARGV')}
local places, chunks = tonumber(expected), tonumber(chunkCount)
local stored = redis.call('HMGET', campaign, 'status', 'batch', 'typesSince')
if not stored[1] then return {'gone'} end
local done = scope ~= '' and redis.call('HGET', uploads, scope .. ':batch') or stored[2]
if done and string.find(done, batchId, 1, true) then return {'added'} end
if stored[1] ~= 'draft' and stored[1] ~= 'scheduled' then return {'refused', stored[1]} end
if tonumber(stored[3] or 0) > tonumber(revision) then return {'retyped'} end
if scope ~= '' and not isOwner(uploads, scope, owner) then return {'lost'} end
if redis.call('STRLEN', marks) ~= places then return {'moved'} end
local firstKey, first = ${addKeys.count}, ${addArguments.count}
local added = #KEYS - firstKey - chunks
if places + added > ${maxPlaces} then return {'full'} end
for i = 1, chunks do redis.call('SET', KEYS[firstKey + i], ARGV[first + i]) end
for i = chunks + 1, chunks + added do redis.call('SADD', KEYS[firstKey + i], ARGV[first + i]) end
if added > 0 then
  redis.call('APPEND', marks, string.rep('q', added))
  redis.call('HINCRBY', campaign, 'n:recipients', added)
  redis.call('HINCRBY', campaign, 'n:pending', added)
end
redis.call('HSET', campaign, 'chunks', math.ceil((places + added) / ${chunkSize}))
if scope == '' then
  local kept = string.sub(batchId .. ' ' .. (stored[2] or ''), 1, ${maxBatches * (batchIdLength + 1)})
  redis.call('HSET', campaign, 'batch', kept)
else
  redis.call('HSET', uploads, scope, progress, scope .. ':lease', owner .. ' ' .. leaseEnd, scope .. ':batch', batchId)
  redis.call('ZADD', uploadTimes, leaseEnd, scope)
end
return {'added'}`);

const beginKeys = named('campaign', 'uploads', 'uploadTimes');
const beginArguments = named(
  'scope',
  'owner',
  'now',
  'leaseEnd',
  'forgottenBefore', // uploads whose lease ended before are forgotten
);

/** Answers the progress, '' for a new upload. When there are too many uploads, those unused for longest are forgotten. */
const beginScript = script(`${isOwner}
${beginKeys.read('KEYS')}
${beginArguments.read('ARGV')}
if redis.call('EXISTS', campaign) == 0 then return {'gone'} end
local lease = redis.call('HGET', uploads, scope .. ':lease')
if lease and tonumber(string.match(lease, '%d+$')) > tonumber(now) and not isOwner(uploads, scope, owner) then
  return {'busy'}
end
redis.call('HSET', uploads, scope .. ':lease', owner .. ' ' .. leaseEnd)
redis.call('ZADD', uploadTimes, leaseEnd, scope)
local tooMany = redis.call('ZCARD', uploadTimes) - ${maxUploads}
local over = math.max(redis.call('ZCOUNT', uploadTimes, '-inf', forgottenBefore), tooMany)
for _, old in ipairs(over > 0 and redis.call('ZPOPMIN', uploadTimes, over) or {}) do
  redis.call('HDEL', uploads, old, old .. ':lease', old .. ':batch')
end
return {'begun', redis.call('HGET', uploads, scope) or ''}`);

/** KEYS uploads; ARGV scope, owner, progress or '' to leave it as it is. */
const endScript = script(`${isOwner}
if not isOwner(KEYS[1], ARGV[1], ARGV[2]) then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1] .. ':lease', ARGV[1] .. ':batch')
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1`);

export function openRecipients(redis: Redis) {
  async function readTail(id: string): Promise<Tail> {
    const places = await redis.strlen(keys.campaignMarks(id));
    if (places % chunkSize === 0) return { places, rows: [] };
    const packed = await redis.getBuffer(keys.campaignChunk(id, Math.floor(places / chunkSize)));
    return { places, rows: packed === null ? [] : unpackChunk(packed).slice(0, places % chunkSize) };
  }

  /** The rows whose address the campaign does not have yet, each once. */
  async function findNew(id: string, rows: readonly CampaignRow[]): Promise<{ row: CampaignRow; mark: AddressMark }[]> {
    const marked = new Map<string, { row: CampaignRow; mark: AddressMark }>();
    for (const row of rows) {
      const mark = markOf(id, row.address);
      const name = `${mark.key} ${mark.member}`;
      if (!marked.has(name)) marked.set(name, { row, mark });
    }
    const all = [...marked.values()];
    if (all.length === 0) return [];
    const names = all.map(({ mark }) => mark.key);
    const members = all.map(({ mark }) => mark.member);
    const known = (await knownScript(redis, names, members)) as string;
    return all.filter((_, n) => known[n] === '0');
  }

  return {
    /**
     * @param progress of the upload including this batch, except duplicates
     * @param known the tail that the previous batch returned, which saves reading it
     * @param batchId recognizes a repeat of the command after a lost answer
     */
    async add(
      { id, revision = 0 }: DraftRead,
      rows: readonly CampaignRow[],
      { progress, upload, known, batchId, now }: AddContext,
    ): Promise<Added> {
      for (let tail = known ?? (await readTail(id)); ; tail = await readTail(id)) {
        const fresh = await findNew(id, rows);
        const [added, duplicates] = [fresh.length, rows.length - fresh.length];
        const after = {
          ...progress,
          added: progress.added + added,
          duplicates: progress.duplicates + duplicates,
        };
        const first = Math.floor(tail.places / chunkSize);
        const chunks = inChunks([...tail.rows, ...fresh.map(({ row }) => row)], chunkSize);
        const written = added === 0 ? [] : chunks;
        const own = addArguments.inOrder({
          batchId,
          expected: tail.places,
          scope: upload?.scope ?? '',
          owner: upload?.owner ?? '',
          leaseEnd: now + uploadLeaseMs,
          progress: JSON.stringify(after),
          revision,
          chunkCount: written.length,
        });
        const chunkNames = written.map((_, n) => keys.campaignChunk(id, first + n));
        const names = [...addKeys.inOrder(keysOf(id)), ...chunkNames, ...fresh.map(({ mark }) => mark.key)];
        const args = [...own, ...written.map(packChunk), ...fresh.map(({ mark }) => mark.member)];
        const [kind, status] = (await addScript(redis, names, args)) as [Added['kind'] | 'moved', CampaignStatus];
        if (kind === 'moved') continue;
        if (kind === 'refused') return { kind, status };
        if (kind !== 'added') return { kind };
        const last = chunks.at(-1) ?? [];
        const rest = last.length === chunkSize ? [] : last;
        return { kind, count: added, progress: after, tail: { places: tail.places + added, rows: rest } };
      }
    },

    /** Takes an upload in hand and returns its progress. */
    async begin(id: string, { scope, owner }: Upload, now: number): Promise<Begun> {
      const leaseEnd = now + uploadLeaseMs;
      const args = beginArguments.inOrder({ scope, owner, now, leaseEnd, forgottenBefore: leaseEnd - uploadMs });
      const [kind, json] = (await beginScript(redis, beginKeys.inOrder(keysOf(id)), args)) as [Begun['kind'], string];
      if (kind !== 'begun') return { kind };
      return { kind, progress: json === '' ? noProgress : JSON.parse(json) };
    },

    /** Releases an upload. @param progress the final progress; null when the upload may be continued */
    async end(id: string, { scope, owner }: Upload, progress: UploadProgress | null): Promise<void> {
      const args = [scope, owner, progress === null ? '' : JSON.stringify(progress)];
      await endScript(redis, [keys.campaignUploads(id)], args);
    },
  };
}

function keysOf(id: string) {
  return {
    campaign: keys.campaign(id),
    marks: keys.campaignMarks(id),
    uploads: keys.campaignUploads(id),
    uploadTimes: keys.campaignUploadTimes(id),
  };
}

type AddContext = {
  readonly progress: UploadProgress;
  readonly upload: Upload | null;
  readonly known: Tail | null;
  readonly batchId: string;
  readonly now: number;
};
