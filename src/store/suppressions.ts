/** The suppression list: found by address in one round trip for many, listed by time. */
import type { Redis } from 'ioredis';
import type { EmailEvent } from '../domain/event.ts';
import type { Lane } from '../domain/lane.ts';
import {
  reasonRanks,
  type Suppression,
  type SuppressionReason,
  type SuppressionScope,
  scopesOf,
  suppressedForm,
  suppressionScopes,
} from '../domain/suppression.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { packEvent } from './record.ts';
import { script } from './redis.ts';
import { type Cursor, firstWanted, type Looked, type PageRequest, walk } from './walk.ts';

export type Suppressions = ReturnType<typeof openSuppressions>;

type SuppressionFilter = {
  readonly reasons?: readonly SuppressionReason[] | undefined;
  readonly scope?: SuppressionScope | undefined;
};

/** Suppressions read or written in one round trip: some milliseconds of Redis at most. */
const chunkSize = 1_000;
/** Suppressions looked at for one page: those of a reason may be rare, and a page takes some 20 ms so. */
const usualMostLookedAt = 10_000;

/** One letter each, because there may be millions of suppressions. */
const scopeLetters = { all: 'a', bulk: 'b' } as const satisfies Record<SuppressionScope, string>;
const reasonLetters = { bounce: 'b', complaint: 'c', unsubscribe: 'u', manual: 'm' } as const satisfies Record<
  SuppressionReason,
  string
>;

const luaRanks = Object.entries(reasonRanks).map(([reason, rank]) => `${reason} = ${rank}`);
const luaLetters = Object.entries(reasonLetters).map(([reason, letter]) => `${reason} = '${letter}'`);

/** What a script is given of a suppression: `packSuppression` returns it. */
export const suppressionArguments = named('field', 'value', 'entry');

/**
 * Lua: adds the suppressions between two places in ARGV; answers how many were added. If an address has one of that scope already, the reason of
 * the higher rank stands alone. A value begins with id and reason, as `packSuppression` has it: cjson would fail at a note with half of a
 * surrogate pair.
 */
export const addSuppressions = `
local reasonRanks, reasonLetters = {${luaRanks}}, {${luaLetters}}
local function suppressionParts(value) return string.match(value, '^{"id":"([^"]*)","reason":"([^"]*)"') end
local function addSuppression(list, ids, field, value, entry)
  local standing = redis.call('HGET', list, field)
  if standing then
    local id, reason = suppressionParts(standing)
    local _, newReason = suppressionParts(value)
    if reasonRanks[newReason] <= reasonRanks[reason] then return 0 end
    redis.call('ZREM', ids, id .. '.' .. string.sub(field, 1, 1) .. reasonLetters[reason] .. string.sub(field, 2))
  end
  redis.call('HSET', list, field, value)
  redis.call('ZADD', ids, 0, entry)
  return 1
end
local function addSuppressions(list, ids, first, last)
  local added = 0
  for i = first, last, ${suppressionArguments.count} do
    ${suppressionArguments.read('ARGV', 'i')}
    added = added + addSuppression(list, ids, field, value, entry)
  end
  return added
end
`;

/** KEYS list ids; ARGV suppressionArguments of each. Answers how many were added. */
const addScript = script(`${addSuppressions}
return addSuppressions(KEYS[1], KEYS[2], 1, #ARGV)`);

/** KEYS list ids outbox; ARGV suppressionArguments, event. The event is written only with a new suppression. */
const addToldScript = script(`${addSuppressions}
local list, ids, outbox = KEYS[1], KEYS[2], KEYS[3]
local event = ARGV[#ARGV]
if addSuppressions(list, ids, 1, #ARGV - 1) == 0 then return 0 end
redis.call('XADD', outbox, '*', 'event', event)
return 1`);

/** KEYS list ids; ARGV suppressionArguments. Removes the suppression only if it is unchanged. */
const removeScript = script(`
local list, ids = KEYS[1], KEYS[2]
${suppressionArguments.read('ARGV')}
if redis.call('HGET', list, field) ~= value then return 0 end
redis.call('HDEL', list, field)
redis.call('ZREM', ids, entry)
return 1`);

export function openSuppressions(redis: Redis, mostLookedAt = usualMostLookedAt) {
  const names = [keys.suppressions, keys.suppressionIds];

  async function read(fields: readonly string[]): Promise<(Suppression | null)[]> {
    if (fields.length === 0) return [];
    const values = await redis.hmget(keys.suppressions, ...fields);
    return values.map((value, place) => (value == null ? null : unpack(fields[place] ?? '', value)));
  }

  async function* list(cursor: Cursor, filter: SuppressionFilter = {}): AsyncGenerator<Looked<Suppression>> {
    for await (const entries of walk(redis, keys.suppressionIds, cursor, chunkSize)) {
      const looked = entries.map(partsOf);
      const fields = looked.filter((parts) => isWanted(parts, filter)).map(({ field }) => field);
      const found = await read(fields);
      // Between the two reads one may be removed, or replaced by one of another reason.
      const byField = new Map(found.map((one, n) => [fields[n], one]));
      for (const { id, field } of looked) {
        const item = byField.get(field) ?? null;
        yield { id, item: item !== null && isWanted(lettersOf(item), filter) ? item : null };
      }
    }
  }

  async function* all(): AsyncGenerator<Suppression> {
    let newest: string | undefined;
    for await (const { id, item } of list({})) {
      newest ??= id;
      if (item !== null) yield item;
    }
    if (newest === undefined) return;
    // One that replaced another meanwhile is before the place where the reading began, and the other is gone.
    for await (const { item } of list({ before: newest })) if (item !== null) yield item;
  }

  return {
    /** The suppressed ones of these addresses, for mail of this lane. @param addresses in the form that `suppressedForm` returns */
    async find(addresses: readonly string[], lane: Lane): Promise<Map<string, Suppression>> {
      const found = await read(addresses.flatMap((address) => scopesOf(lane).map((scope) => fieldOf(address, scope))));
      // A suppression of all mail wins over one of bulk mail.
      const known = found.filter((one) => one !== null).toReversed();
      return new Map(known.map((one) => [one.address, one]));
    },

    /** @returns how many were added: an address that has a suppression of that scope keeps it, unless the new reason has a higher rank */
    async add(suppressions: readonly Suppression[]): Promise<number> {
      let added = 0;
      for (let from = 0; from < suppressions.length; from += chunkSize) {
        const args = suppressions.slice(from, from + chunkSize).flatMap(packSuppression);
        added += (await addScript(redis, names, args)) as number;
      }
      return added;
    },

    /** Adds a suppression and its event, unless the address has one of that scope that stands. */
    async addTold(suppression: Suppression, event: EmailEvent): Promise<void> {
      await addToldScript(redis, [...names, keys.outbox], [...packSuppression(suppression), packEvent(event)]);
    },

    /** All suppressions of an address, at most one of each scope. */
    async get(address: string): Promise<Suppression[]> {
      const found = await read(suppressionScopes.map((scope) => fieldOf(suppressedForm(address), scope)));
      return found.filter((one) => one !== null);
    },

    /** The suppression with this id, or null. */
    async byId(id: string): Promise<Suppression | null> {
      const [entry] = await redis.zrangebylex(keys.suppressionIds, `[${id}.`, `(${id}/`);
      const [found = null] = entry === undefined ? [] : await read([partsOf(entry).field]);
      return found?.id === id ? found : null;
    },

    /** False when it no longer existed. */
    async remove(suppression: Suppression): Promise<boolean> {
      return (await removeScript(redis, names, packSuppression(suppression))) === 1;
    },

    /** Newest first; of those that are wanted, as many as are found among the next `mostLookedAt`. */
    page: ({ limit, ...cursor }: PageRequest, filter: SuppressionFilter) =>
      firstWanted(list(cursor, filter), limit, mostLookedAt),

    /** Everything, newest first, read as it is consumed; then what was added meanwhile, so an address may come twice. */
    all,
  };
}

/** What is stored of a suppression: its field, its value and its entry in the list of ids. */
export function packSuppression(suppression: Suppression): [field: string, value: string, entry: string] {
  const { id, address, scope, reason, emailId, note } = suppression;
  const value = JSON.stringify({
    id,
    reason,
    ...(emailId === null ? {} : { emailId }),
    ...(note === null ? {} : { note }),
  });
  return [fieldOf(address, scope), value, `${id}.${scopeLetters[scope]}${reasonLetters[reason]}${address}`];
}

function fieldOf(address: string, scope: SuppressionScope): string {
  return `${scopeLetters[scope]}${address}`;
}

function unpack(field: string, value: string): Suppression {
  const scope = field.startsWith(scopeLetters.all) ? 'all' : 'bulk';
  return { address: field.slice(1), scope, emailId: null, note: null, ...JSON.parse(value) };
}

function partsOf(entry: string) {
  const dot = entry.indexOf('.');
  const rest = entry.slice(dot + 1);
  return { id: entry.slice(0, dot), scope: rest[0], reason: rest[1], field: `${rest[0]}${rest.slice(2)}` };
}

function lettersOf({ scope, reason }: Suppression) {
  return { scope: scopeLetters[scope], reason: reasonLetters[reason] };
}

type Letters = Pick<ReturnType<typeof partsOf>, 'scope' | 'reason'>;

function isWanted(letters: Letters, { reasons, scope }: SuppressionFilter): boolean {
  if (scope !== undefined && letters.scope !== scopeLetters[scope]) return false;
  return reasons === undefined || reasons.some((reason) => letters.reason === reasonLetters[reason]);
}
