/** Adds recipients to a campaign, each address once. A batch is added as a whole or not at all, together with the progress of its upload. */
import type { Redis } from 'ioredis';
import { type CampaignHead, type CampaignRow, type CampaignStatus, chunkSize } from '../domain/campaign.ts';
import { noProgress, type UploadProgress } from '../domain/campaign-recipient.ts';
import { cut } from '../domain/cut.ts';
import { maxPlaces } from '../domain/id.ts';
import { type AddressMark, markOf } from './campaign-addresses.ts';
import { packChunk, unpackChunk } from './campaign-chunk.ts';
import { keys } from './keys.ts';
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

/**
 * KEYS campaign marks uploads uploadTimes, a key for each chunk, a key for each address; ARGV batch id, expected number of places, scope ('' for
 * none), owner, end of its lease, progress, revision of the draft by whose types the rows were read, number of chunks and their bytes, one member
 * for each address. Answers `moved` when places were added since they were read: so an address that another request added meanwhile cannot be
 * added twice. A repeat after a lost answer is recognized by its batch id; each upload keeps its own, because other uploads go on meanwhile.
 */
const addScript = script(`${isOwner}
local campaign, marks, uploads = KEYS[1], KEYS[2], KEYS[3]
local places, scope, chunks = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[8])
local stored = redis.call('HMGET', campaign, 'status', 'batch', 'typesSince')
if not stored[1] then return {'gone'} end
local done = scope ~= '' and redis.call('HGET', uploads, scope .. ':batch') or stored[2]
if done and string.find(done, ARGV[1], 1, true) then return {'added'} end
if stored[1] ~= 'draft' and stored[1] ~= 'scheduled' then return {'refused', stored[1]} end
if scope ~= '' and not isOwner(uploads, scope, ARGV[4]) then return {'lost'} end
if tonumber(stored[3] or 0) > tonumber(ARGV[7]) then return {'retyped'} end
if redis.call('STRLEN', marks) ~= places then return {'moved'} end
local added = #KEYS - 4 - chunks
if places + added > ${maxPlaces} then return {'full'} end
for i = 1, chunks do redis.call('SET', KEYS[4 + i], ARGV[8 + i]) end
for i = 1, added do redis.call('SADD', KEYS[4 + chunks + i], ARGV[8 + chunks + i]) end
if added > 0 then
  redis.call('APPEND', marks, string.rep('q', added))
  redis.call('HINCRBY', campaign, 'n:recipients', added)
  redis.call('HINCRBY', campaign, 'n:pending', added)
end
redis.call('HSET', campaign, 'chunks', math.ceil((places + added) / ${chunkSize}))
if scope == '' then
  local kept = string.sub(ARGV[1] .. ' ' .. (stored[2] or ''), 1, ${maxBatches * (batchIdLength + 1)})
  redis.call('HSET', campaign, 'batch', kept)
else
  redis.call('HSET', uploads, scope, ARGV[6], scope .. ':lease', ARGV[4] .. ' ' .. ARGV[5], scope .. ':batch', ARGV[1])
  redis.call('ZADD', KEYS[4], ARGV[5], scope)
end
return {'added'}`);

/**
 * KEYS campaign uploads uploadTimes; ARGV scope, owner, now, end of the lease, and the time before which the lease of forgotten uploads ended.
 * Answers the progress, '' for a new upload. When there are too many uploads, those unused for longest are forgotten.
 */
const beginScript = script(`${isOwner}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
local lease = redis.call('HGET', KEYS[2], ARGV[1] .. ':lease')
if lease and tonumber(string.match(lease, '%d+$')) > tonumber(ARGV[3]) and not isOwner(KEYS[2], ARGV[1], ARGV[2]) then
  return {'busy'}
end
redis.call('HSET', KEYS[2], ARGV[1] .. ':lease', ARGV[2] .. ' ' .. ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
local over = math.max(redis.call('ZCOUNT', KEYS[3], '-inf', ARGV[5]), redis.call('ZCARD', KEYS[3]) - ${maxUploads})
for _, scope in ipairs(over > 0 and redis.call('ZPOPMIN', KEYS[3], over) or {}) do
  redis.call('HDEL', KEYS[2], scope, scope .. ':lease', scope .. ':batch')
end
return {'begun', redis.call('HGET', KEYS[2], ARGV[1]) or ''}`);

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
        const chunks = cut([...tail.rows, ...fresh.map(({ row }) => row)], chunkSize);
        const written = added === 0 ? [] : chunks;
        const [kind, status] = (await addScript(
          redis,
          [
            ...[keys.campaign(id), keys.campaignMarks(id), keys.campaignUploads(id), keys.campaignUploadTimes(id)],
            ...written.map((_, n) => keys.campaignChunk(id, first + n)),
            ...fresh.map(({ mark }) => mark.key),
          ],
          [
            ...[batchId, tail.places, upload?.scope ?? '', upload?.owner ?? '', now + uploadLeaseMs],
            ...[JSON.stringify(after), revision, written.length, ...written.map(packChunk)],
            ...fresh.map(({ mark }) => mark.member),
          ],
        )) as [Added['kind'] | 'moved', CampaignStatus];
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
      const args = [scope, owner, now, now + uploadLeaseMs, now + uploadLeaseMs - uploadMs];
      const names = [keys.campaign(id), keys.campaignUploads(id), keys.campaignUploadTimes(id)];
      const [kind, json] = (await beginScript(redis, names, args)) as [Begun['kind'], string];
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

type AddContext = {
  readonly progress: UploadProgress;
  readonly upload: Upload | null;
  readonly known: Tail | null;
  readonly batchId: string;
  readonly now: number;
};
