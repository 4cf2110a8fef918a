/** Every Redis key Postrider writes. All share the hash tag {0}, so that what is written together lives on one cluster shard. */

const prefix = 'pr:{0}';

/** BullMQ's own keys live below this prefix. */
export const queuePrefix = `${prefix}:q`;

export const keys = {
  /** Hash: facts, state (JSON), version, handOver. */
  email: (id: string) => `${prefix}:email:${id}`,
  /** String: the packed content. */
  content: (id: string) => `${prefix}:content:${id}`,
  /** String: the answer given for an Idempotency-Key. */
  idempotency: (scope: string) => `${prefix}:idem:${scope}`,
  /** Sorted set by milliseconds: emails stored and not yet known to be queued. */
  unqueued: `${prefix}:unqueued`,
  /** Stream: every event, in the order it was committed. */
  outbox: `${prefix}:outbox`,
  /** Hash: webhook id -> endpoint as JSON, its secret sealed. */
  webhooks: `${prefix}:webhooks`,
  /** Hash: tries of one event at one endpoint. */
  delivery: (id: string) => `${prefix}:delivery:${id}`,
  /** List: ids of captured mail, newest first. */
  inbox: `${prefix}:inbox`,
  /** Hash: id -> what is known of a captured mail, as JSON. */
  inboxEntries: `${prefix}:inbox:entries`,
  /** Hash: id -> the captured message as it stands. */
  inboxRaw: `${prefix}:inbox:raw`,
  /** String: bytes in `inboxRaw`. */
  inboxBytes: `${prefix}:inbox:bytes`,
  /** Channel: a captured mail's id; nothing when the inbox was emptied. */
  inboxChannel: `${prefix}:inbox:new`,
};
