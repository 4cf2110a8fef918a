/** Webhook endpoints, with sealed secrets and headers. A change is written only over the state it read: no racing change is lost. */
import { createSecretKey } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { WebhookEvent } from '../domain/event.ts';
import { seal, unseal } from '../domain/secret-box.ts';
import type { Listener, Webhook } from '../domain/webhook.ts';
import { type CreationMark, storedOnce } from './creations.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { ownKeysOf } from './post-keys.ts';
import { removeScript } from './post-scripts.ts';
import { packPlainEvent } from './record.ts';
import { script } from './redis.ts';

export type Webhooks = ReturnType<typeof openWebhooks>;

/** An endpoint in the hash; its secrets are one sealed text. */
type Stored = Listener & { readonly sealed: string };
/** The form of an early version, which had only an endpoint and events. */
type StoredEarly = Pick<Webhook, 'id' | 'createdAt' | 'endpoint' | 'events' | 'secret'>;
type Secrets = Pick<Webhook, 'secret' | 'previousSecret' | 'headers'>;

const usual = {
  status: 'enabled',
  disabledReason: null,
  description: null,
  filter: null,
  batch: null,
  revision: 0,
} as const;

/** KEYS webhooks claim; ARGV id webhook stored. */
const addScript = script(`${storedOnce}
if isStored(KEYS[2], ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
noteStored(KEYS[2], ARGV[3])
return 1`);

/** A change of an endpoint, and the event that is written in the same step. */
type WebhookChange = {
  readonly webhook: Webhook;
  readonly event?: WebhookEvent;
  /** The change applies only if the endpoint has been failing since this time (milliseconds since the epoch). */
  readonly failingSince?: number | null;
  /** The change applies only if it was not made under this mark before; the note is kept for repeats. */
  readonly once?: { readonly mark: CreationMark; readonly note: string } | null;
};

type Replaced =
  | 'changed'
  /** The endpoint is no longer the old one. */
  | 'moved_on'
  /** It has not been failing since that time. */
  | 'not_failing'
  /** This claim changed it before. */
  | 'repeated';

const replaceKeys = named('webhooks', 'outbox', 'health', 'claim');
const replaceArguments = named(
  'id',
  'was', // the old endpoint
  'is', // the new one
  'event', // '' for none
  'failingSince', // since when it must be failing; '' for no such condition
  'claimStored', // the claim once it is stored; '' for none
  'note', // for repeats under the claim
);

/**
 * A repeat gets the same answer as the first command. Answers a `Replaced`. A full Redis accepts the first write, so that an endpoint can be
 * disabled, which makes room.
 */
const replaceScript = script(`${storedOnce}
${replaceKeys.read('KEYS')}
${replaceArguments.read('ARGV')}
local stored = redis.call('HGET', webhooks, id)
if stored == is then return 'changed' end
if isStored(claim, claimStored) then return 'repeated' end
if stored ~= was then return 'moved_on' end
if failingSince ~= '' and redis.call('HGET', health, 'failingSince') ~= failingSince then return 'not_failing' end
redis.call('HDEL', webhooks, id)
redis.call('HSET', webhooks, id, is)
if event ~= '' then redis.call('XADD', outbox, '*', 'event', event) end
if claimStored ~= '' then noteStored(claim, claimStored .. note) end
return 'changed'`);

/** In each lost round another writer won; this many in a row mean a bug. */
const maxRounds = 50;

/** @param secretKey 32 bytes; @param newIv 12 fresh random bytes at each call */
export function openWebhooks(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  const key = createSecretKey(secretKey);

  function pack({ secret, previousSecret, headers, ...rest }: Webhook): string {
    const secrets: Secrets = { secret, previousSecret, headers };
    const stored: Stored = { ...rest, sealed: seal(JSON.stringify(secrets), key, newIv()) };
    return JSON.stringify(stored);
  }

  function unpack(json: string): Webhook {
    const stored: Stored | StoredEarly = JSON.parse(json);
    if ('secret' in stored)
      return { ...usual, ...stored, secret: unseal(stored.secret, key), previousSecret: null, headers: {} };
    const { sealed, ...rest } = stored;
    const secrets: Secrets = JSON.parse(unseal(sealed, key));
    return { ...usual, ...rest, ...secrets };
  }

  async function get(id: string): Promise<Webhook | null> {
    const json = await redis.hget(keys.webhooks, id);
    return json === null ? null : unpack(json);
  }

  return {
    /** @param mark claim of the Idempotency-Key: a repeat does not undo a later change or removal */
    async add(webhook: Webhook, mark: CreationMark | null = null): Promise<void> {
      const args = [webhook.id, pack(webhook), mark?.stored ?? ''];
      await addScript(redis, [keys.webhooks, mark?.key ?? keys.webhooks], args);
    },

    /** @throws when the stored secrets were sealed with another key: no webhook could be signed */
    async checkKey(): Promise<void> {
      const [json] = await redis.hvals(keys.webhooks);
      if (json === undefined) return;
      try {
        unpack(json);
      } catch (error) {
        throw new Error(
          'SECRET_KEY is not the one that the webhooks in this Redis were sealed with. Give that one, or another Redis.',
          { cause: error },
        );
      }
    },

    get,

    /** Every endpoint, newest first. */
    async all(): Promise<Webhook[]> {
      const all = (await redis.hvals(keys.webhooks)).map(unpack);
      return all.sort((a, b) => (a.id < b.id ? 1 : -1));
    },

    /** All endpoints without secrets, in no order: enough for matching events. */
    async listeners(): Promise<Listener[]> {
      const all = await redis.hvals(keys.webhooks);
      return all.map((json): Listener => {
        const { sealed: _, secret: __, ...listener }: Stored & Partial<StoredEarly> = JSON.parse(json);
        return { ...usual, ...listener };
      });
    },

    /**
     * Changes an endpoint to the result of `decide`, null for no change. `decide` is called again when another writer was faster. The event, if
     * there is one, is written in the same step, so it is written exactly once.
     * @returns what the endpoint is now; null when there is none
     */
    async change(id: string, decide: (webhook: Webhook) => WebhookChange | null): Promise<Webhook | null> {
      for (let round = 0; round < maxRounds; round++) {
        const was = await redis.hget(keys.webhooks, id);
        if (was === null) return null;
        const before = unpack(was);
        const change = decide(before);
        if (change === null) return before;
        const webhook = { ...change.webhook, revision: before.revision + 1 };
        const { event, failingSince, once } = change;
        const names = replaceKeys.inOrder({
          webhooks: keys.webhooks,
          outbox: keys.outbox,
          health: keys.health(id),
          claim: once?.mark.key ?? keys.webhooks,
        });
        const args = replaceArguments.inOrder({
          id,
          was,
          is: pack(webhook),
          event: event === undefined ? '' : packPlainEvent(event),
          failingSince: failingSince ?? '',
          claimStored: once?.mark.stored ?? '',
          note: once?.note ?? '',
        });
        const replaced = (await replaceScript(redis, names, args)) as Replaced;
        if (replaced === 'changed') return webhook;
        if (replaced === 'not_failing') return before;
        // The state that was read may be older than that change.
        if (replaced === 'repeated') return get(id);
      }
      throw new Error(`webhook ${id} was changed by others ${maxRounds} times in a row`);
    },

    /**
     * Removes it with all that is kept of it, in one step. False when there was none. Who removes it does not matter: a command may be sent
     * again, and find it gone.
     */
    async remove(id: string): Promise<boolean> {
      const isThere = (await redis.hexists(keys.webhooks, id)) === 1;
      if (isThere) await removeScript(redis, [keys.webhooks, keys.postsDue, ...Object.values(ownKeysOf(id))], [id]);
      return isThere;
    },
  };
}
