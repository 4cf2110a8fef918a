/** Retention: removes the data of emails that ended once its time is over, first the content, later the record. */
import type { Redis } from 'ioredis';
import { fileHashLength } from '../domain/file.ts';
import { countPostings, maxPostings, postingBytes, postingsOf } from './email-index.ts';
import { type End, headScript, isAsItEnded, renewEnd, unpackEnd } from './end.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
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
      const { ended, emptied, fileUses } = keys;
      const names = dropContentsKeys.inOrder({ list: ended, emptied, fileUses });
      const args: Argument[] = headArguments.inOrder({ head: first.bytes, headCount: entries.length });
      for (const { id, entry, version, values } of await stillEnded(entries, 'files')) {
        const hashes = values[0]?.match(fileHashes) ?? [];
        const files = hashes.map(keys.file);
        names.push(...contentKeys.inOrder({ email: keys.email(id), content: keys.content(id) }), ...files);
        const own = contentArguments.inOrder({ version, entry: entry.bytes, fileCount: hashes.length });
        args.push(...own, ...hashes);
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
      const names = dropRecordsKeys.inOrder({ list: keys.emptied, index: keys.emailIndex });
      const found = await stillEnded(entries, 'facts', 'state');
      const ended = found.map((one) => ({ ...one, ...readRecord(one.id, one.values) }));
      const within = countWithin(ended, maxPostings);
      const next = ended[within]?.entry;
      const headCount = next ? entries.indexOf(next) : entries.length;
      const args: Argument[] = headArguments.inOrder({ head: first.bytes, headCount });
      for (const { id, entry, version, postings, campaign } of ended.slice(0, within)) {
        names.push(...recordKeys.inOrder({ email: keys.email(id), campaign }));
        args.push(...recordArguments.inOrder({ version, entry: entry.bytes, postings }));
      }
      return readRemoved(await dropRecordsScript(redis, names, args));
    },
  };
}

type Argument = string | number | Buffer;

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

const fileHashes = new RegExp(`.{${fileHashLength}}`, 'g');
const lost = -1;

function readRemoved(answer: unknown): Removed {
  return answer === lost ? null : Number(answer);
}

const headArguments = named(
  'head', // the first entry that was read from the head of the list
  'headCount', // how many of those read are to go
);

/**
 * Lua: removes the entries that were read from the head of `list`, unless another worker was faster. A full Redis accepts the first write, and
 * after it the others as well: so this makes room. ARGV begins with headArguments.
 */
const takeHead = `
${headArguments.read('ARGV')}
if redis.call('LINDEX', list, 0) ~= head then return ${lost} end
redis.call('LTRIM', list, headCount, -1)
local removed = 0
`;

const dropContentsKeys = named('list', 'emptied', 'fileUses');
const contentKeys = named('email', 'content');
const contentArguments = named('version', 'entry', 'fileCount');

/**
 * KEYS dropContentsKeys, then for each email: contentKeys, and its files. ARGV headArguments, then for each email: contentArguments, and the
 * hashes of its files.
 */
const dropContentsScript = script(`
${dropContentsKeys.read('KEYS')}
${takeHead}
local keyAt, at = ${dropContentsKeys.count + 1}, ${headArguments.count + 1}
while at <= #ARGV do
  ${contentKeys.read('KEYS', 'keyAt')}
  ${contentArguments.read('ARGV', 'at')}
  keyAt, at = keyAt + ${contentKeys.count}, at + ${contentArguments.count}
  if redis.call('HGET', email, 'version') == version then
    removed = removed + redis.call('UNLINK', content)
    redis.call('HDEL', email, 'files')
    for i = 0, fileCount - 1 do
      local file, hash = KEYS[keyAt + i], ARGV[at + i]
      if redis.call('HINCRBY', fileUses, hash, -1) <= 0 then
        redis.call('HDEL', fileUses, hash)
        redis.call('UNLINK', file)
      end
    end
    redis.call('RPUSH', emptied, entry)
  end
  keyAt, at = keyAt + fileCount, at + fileCount
end
return removed`);

const dropRecordsKeys = named('list', 'index');
const recordKeys = named('email', 'campaign');
const recordArguments = named('version', 'entry', 'postings');

/** KEYS dropRecordsKeys, then recordKeys of each email. ARGV headArguments, then recordArguments of each email. Only a campaign has a head. */
const dropRecordsScript = script(`${renewEnd}
${dropRecordsKeys.read('KEYS')}
${takeHead}
local at = ${headArguments.count + 1}
for keyAt = ${dropRecordsKeys.count + 1}, #KEYS, ${recordKeys.count} do
  ${recordKeys.read('KEYS', 'keyAt')}
  ${recordArguments.read('ARGV', 'at')}
  if redis.call('HGET', email, 'version') == version then
    if redis.call('HEXISTS', campaign, 'head') == 1 then
      renewEnd(list, entry)
    else
      local gone = {}
      for i = 1, #postings, ${postingBytes} do gone[#gone + 1] = string.sub(postings, i, i + ${postingBytes - 1}) end
      if #gone > 0 then redis.call('ZREM', index, unpack(gone)) end
      removed = removed + redis.call('UNLINK', email)
    end
  end
  at = at + ${recordArguments.count}
end
return removed`);
