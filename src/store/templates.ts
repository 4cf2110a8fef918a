/** Templates with their versions, which never change: found by id or alias, listed newest first. */
import type { Redis } from 'ioredis';
import { templateIdForm } from '../domain/id.ts';
import type { Template, TemplateContent, TemplateHead, TemplateUse } from '../domain/template.ts';
import { pack, unpack } from './content.ts';
import { type CreationMark, storedOnce } from './creations.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';
import { type Cursor, firstOf, type PageRequest, walk } from './walk.ts';

export type Templates = ReturnType<typeof openTemplates>;

export type TemplateVersion = { readonly version: number; readonly createdAt: number };

export type Changed =
  | 'changed'
  /** Another template has the alias. */
  | 'alias_taken'
  /** The template was changed or removed since it was read. */
  | 'moved_on';

/** Versions kept of one template: the oldest is dropped. */
const maxVersions = 1_000;

const writeKeys = named('template', 'templates', 'aliases', 'claim');
const writeArguments = named(
  'id',
  'oldHead', // the one it must have; '' for none
  'newHead',
  'oldAlias', // '' for none, as the next
  'newAlias',
  'version', // 0 for no new one
  'content', // of the new version
  'madeAt',
  'dropped', // the version that is dropped for it
  'claimStored', // the claim once it is stored; '' for none
);

/** A repeat of what was done is answered as it was the first time. */
const writeScript = script(`${storedOnce}
${writeKeys.read('KEYS')}
${writeArguments.read('ARGV')}
local isNew = version ~= '0'
if isStored(claim, claimStored) then return 'moved_on' end
local owner = newAlias ~= '' and redis.call('HGET', aliases, newAlias)
if owner and owner ~= id then return 'alias_taken' end
local head = redis.call('HGET', template, 'head')
if head == newHead and (not isNew or redis.call('HGET', template, 'v' .. version) == content) then return 'changed' end
if (head or '') ~= oldHead then return 'moved_on' end
if oldAlias ~= newAlias and oldAlias ~= '' then redis.call('HDEL', aliases, oldAlias) end
if newAlias ~= '' then redis.call('HSET', aliases, newAlias, id) end
redis.call('HSET', template, 'head', newHead)
redis.call('ZADD', templates, 0, id)
if isNew then
  redis.call('HSET', template, 'v' .. version, content, 't' .. version, madeAt)
  redis.call('HDEL', template, 'v' .. dropped, 't' .. dropped)
end
noteStored(claim, claimStored)
return 'changed'`);

/** KEYS template, templates, aliases; ARGV id. */
const removeScript = script(`
local head = redis.call('HGET', KEYS[1], 'head')
if not head then return 0 end
local alias = cjson.decode(head).alias
if alias ~= cjson.null then redis.call('HDEL', KEYS[3], alias) end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1`);

export function openTemplates(redis: Redis) {
  async function headOf(id: string): Promise<TemplateHead | null> {
    const json = await redis.hget(keys.template(id), 'head');
    return json === null ? null : JSON.parse(json);
  }

  async function* list(cursor: Cursor, chunkSize: number): AsyncGenerator<TemplateHead> {
    for await (const ids of walk(redis, keys.templates, cursor, chunkSize)) {
      // A template may be removed between the two reads.
      for (const head of await Promise.all(ids.map(headOf))) if (head !== null) yield head;
    }
  }

  async function write(
    was: TemplateHead | null,
    head: TemplateHead,
    content: TemplateContent | null,
    mark: CreationMark | null = null,
  ): Promise<Changed> {
    const { id, version, updatedAt } = head;
    const names = writeKeys.inOrder({
      template: keys.template(id),
      templates: keys.templates,
      aliases: keys.templateAliases,
      claim: mark?.key ?? keys.template(id),
    });
    const args = writeArguments.inOrder({
      id,
      oldHead: was === null ? '' : JSON.stringify(was),
      newHead: JSON.stringify(head),
      oldAlias: was?.alias ?? '',
      newAlias: head.alias ?? '',
      version: content === null ? 0 : version,
      content: content === null ? '' : await pack(Buffer.from(JSON.stringify(content))),
      madeAt: updatedAt,
      dropped: version - maxVersions,
      claimStored: mark?.stored ?? '',
    });
    return (await writeScript(redis, names, args)) as Changed;
  }

  return {
    /** `moved_on` when it was stored before; it stays as it is then. @param mark claim of the Idempotency-Key */
    add: ({ head, content }: Template, mark: CreationMark | null = null): Promise<Changed> =>
      write(null, head, content, mark),

    /** @param content null when there is no new version */
    change: (was: TemplateHead, head: TemplateHead, content: TemplateContent | null): Promise<Changed> =>
      write(was, head, content),

    /** Finds a template by its id or alias. */
    async find(name: string): Promise<TemplateHead | null> {
      const id = templateIdForm.test(name) ? name : await redis.hget(keys.templateAliases, name);
      return id === null ? null : headOf(id);
    },

    /** The content of a version; null when there is none, or no longer. */
    async content({ id, version }: TemplateUse): Promise<TemplateContent | null> {
      const packed = await redis.hgetBuffer(keys.template(id), `v${version}`);
      return packed === null ? null : JSON.parse((await unpack(packed)).toString());
    },

    /** Newest first. */
    async versions({ id, version }: TemplateHead): Promise<TemplateVersion[]> {
      const count = Math.min(version, maxVersions);
      const numbers = Array.from({ length: count }, (_, index) => version - index);
      const times = await redis.hmget(keys.template(id), ...numbers.map((number) => `t${number}`));
      return numbers.map((number, index) => ({ version: number, createdAt: Number(times[index]) }));
    },

    /** Newest first; `hasMore` looks onwards in the direction of the request. */
    page: ({ limit, ...cursor }: PageRequest) => firstOf(list(cursor, limit + 1), limit),

    /** False when there was none. Who removes it does not matter: a command may be sent again, and find it gone. */
    async remove(id: string): Promise<boolean> {
      const isThere = (await redis.exists(keys.template(id))) === 1;
      if (isThere) await removeScript(redis, [keys.template(id), keys.templates, keys.templateAliases], [id]);
      return isThere;
    },
  };
}
