/** Retention: removes the data of emails that ended once its time is over, first the content, later the record. */
import type { Redis } from 'ioredis';
import { countPostings, maxPostings, postingBytes, postingsOf } from './email-index.ts';
import { type End, headScript, isAsItEnded, renewEnd, unpackEnd } from './end.ts';
import { keys } from './keys.ts';
import { unpackFacts, unpackState } from './record.ts';
import { script } from './redis.ts';

/** How many emails of a batch were removed: emails that changed since stay. Null when none is left, or another worker is doing it. */
export type Removed = number | null;

export type Retention = ReturnType<typeof openRetention>;

/** Emails of one step: enough to share its cost, few enough not to hold up Redis. */
const batchSize = 100;

/** Several workers may do this at the same time: of two with the same emails, one removes them and the other finds that it is done. */
export function openRetention(redis: Redis) {
  /** The entries at the head of a list that ended at `endedBefore` or earlier. */
  async function headOf(list: string, endedBefore: number): Promise<Entry[]> {
    const head = (await headScript(redis, [list], [batchSize])) as Buffer[];
    const entries = head.map((bytes) => ({ bytes, ...unpackEnd(bytes) }));
    const young = entries.findIndex(({ at }) => at > endedBefore);
    return young === -1 ? entries : entries.slice(0, young);
  }

  /** Also reads fields of the emails that are unchanged since they ended. */
  async function stillEnded(entries: readonly Entry[], ...fields: string[]): Promise<Ended[]> {
    const found = await Promise.all(entries.map(({ id }) => redis.hmget(keys.email(id), 'version', ...fields)));
    return entries.flatMap((entry, index) => {
      const [version, ...values] = found[index] ?? [];
      return version && isAsItEnded(entry, Number(version)) ? [{ id: entry.id, entry, version, values }] : [];
    });
  }

  return {
    /** Drops contents, each with the files that no other email has. */
    async dropContents(endedBefore: number): Promise<Removed> {
      const entries = await headOf(keys.ended, endedBefore);
      const [first] = entries;
      if (first === undefined) return null;
      const names = [keys.ended, keys.emptied, keys.fileUses];
      const args: (string | number | Buffer)[] = [first.bytes, entries.length];
      for (const { id, entry, version, values } of await stillEnded(entries, 'files')) {
        const hashes = values[0]?.match(fileHashes) ?? [];
        names.push(keys.email(id), keys.content(id), ...hashes.map(keys.file));
        args.push(version, entry.bytes, hashes.length, ...hashes);
      }
      return readRemoved(await dropContentsScript(redis, names, args));
    },

    /**
     * Removes records whose content has been dropped, with their postings in the index. The record of a campaign's recipient alone
     * says what became of them: it stays while its campaign exists, and is looked at again after as long.
     */
    async dropRecords(endedBefore: number): Promise<Removed> {
      const entries = await headOf(keys.emptied, endedBefore);
      const [first] = entries;
      if (first === undefined) return null;
      const names = [keys.emptied, keys.emailIndex];
      const found = await stillEnded(entries, 'facts', 'state');
      const ended = found.map((one) => ({ ...one, ...readRecord(one.id, one.values) }));
      const within = countWithin(ended, maxPostings);
      const next = ended[within]?.entry;
      const args: (string | number | Buffer)[] = [first.bytes, next ? entries.indexOf(next) : entries.length];
      for (const { id, entry, version, postings, campaign } of ended.slice(0, within)) {
        names.push(keys.email(id), campaign);
        args.push(version, entry.bytes, postings);
      }
      return readRemoved(await dropRecordsScript(redis, names, args));
    },
  };
}

type Entry = End & { readonly bytes: Buffer };
type Ended = {
  readonly id: string;
  readonly entry: Entry;
  /** As it is stored. */
  readonly version: string;
  readonly values: readonly (string | null)[];
};

/**
 * The postings of a record and the key of its campaign, which is its own key for an email without one. A record that cannot be read goes all the
 * same, and what its list has left is passed over there.
 */
function readRecord(id: string, [facts, state]: Ended['values']): { postings: Buffer; campaign: string } {
  try {
    const whole = unpackFacts(id, facts ?? '');
    const campaign = whole.campaignId === null ? keys.email(id) : keys.campaign(whole.campaignId);
    return { postings: postingsOf(whole, unpackState(state ?? '', whole)), campaign };
  } catch {
    return { postings: Buffer.alloc(0), campaign: keys.email(id) };
  }
}

/** How many from the first on have no more postings together than that; one at least. */
function countWithin(all: readonly { readonly postings: Buffer }[], most: number): number {
  let sum = 0;
  const past = all.findIndex(({ postings }, n) => {
    sum += countPostings(postings);
    return sum > most && n > 0;
  });
  return past === -1 ? all.length : past;
}

const fileHashes = /.{43}/g;
const lost = -1;

function readRemoved(answer: unknown): Removed {
  return answer === lost ? null : Number(answer);
}

/**
 * Lua: removes the entries that were read from the head of a list, unless another worker was faster. A full Redis accepts the first write, and
 * after it the others as well: so this makes room.
 */
const takeHead = `
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then return ${lost} end
redis.call('LTRIM', KEYS[1], ARGV[2], -1)
local removed = 0
`;

/**
 * KEYS ended emptied fileUses, then for each email: email content, a key for each file; ARGV first entry, number of entries, then for each
 * email: version entry, number of files and their hashes.
 */
const dropContentsScript = script(`${takeHead}
local key, at = 4, 3
while at <= #ARGV do
  local files = tonumber(ARGV[at + 2])
  if redis.call('HGET', KEYS[key], 'version') == ARGV[at] then
    removed = removed + redis.call('UNLINK', KEYS[key + 1])
    redis.call('HDEL', KEYS[key], 'files')
    for i = 1, files do
      local hash = ARGV[at + 2 + i]
      if redis.call('HINCRBY', KEYS[3], hash, -1) <= 0 then
        redis.call('HDEL', KEYS[3], hash)
        redis.call('UNLINK', KEYS[key + 1 + i])
      end
    end
    redis.call('RPUSH', KEYS[2], ARGV[at + 1])
  end
  key, at = key + 2 + files, at + 3 + files
end
return removed`);

/**
 * KEYS emptied index, then for each email: email campaign; ARGV first entry, number of entries, then for each email: version entry postings. Only
 * a campaign has a head.
 */
const dropRecordsScript = script(`${renewEnd}${takeHead}
local at = 3
for key = 3, #KEYS, 2 do
  if redis.call('HGET', KEYS[key], 'version') == ARGV[at] then
    if redis.call('HEXISTS', KEYS[key + 1], 'head') == 1 then
      renewEnd(KEYS[1], ARGV[at + 1])
    else
      local postings, gone = ARGV[at + 2], {}
      for i = 1, #postings, ${postingBytes} do gone[#gone + 1] = string.sub(postings, i, i + ${postingBytes - 1}) end
      if #gone > 0 then redis.call('ZREM', KEYS[2], unpack(gone)) end
      removed = removed + redis.call('UNLINK', KEYS[key])
    end
  end
  at = at + 3
end
return removed`);
