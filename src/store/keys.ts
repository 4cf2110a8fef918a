/** All Redis keys that Postrider writes. They share the hash tag {0}, so that keys written together are on one cluster shard. */
import type { DeliveryStatus } from '../domain/delivery.ts';
import type { Lane } from '../domain/lane.ts';

const prefix = 'pr:{0}';

/** Prefix of BullMQ's own keys. */
export const queuePrefix = `${prefix}:q`;

export const keys = {
  /**
   * Hash: facts, state (JSON), version, handOver; `t<n>` for each step of its timeline; the counts of faults and of dropped steps, and the id
   * of the last change; the hashes of the files its content refers to, one after the other.
   */
  email: (id: string) => `${prefix}:email:${id}`,
  /** String: the packed content. */
  content: (id: string) => `${prefix}:content:${id}`,
  /** String: the bytes of an attached file, by their hash. */
  file: (hash: string) => `${prefix}:file:${hash}`,
  /** Hash: file hash -> how many contents refer to it. */
  fileUses: `${prefix}:files`,
  /** Sorted set of postings, the index of emails. */
  emailIndex: `${prefix}:emails`,
  /** List: postings of an email that are only under its status yet, not under its other terms: those of a large batch are added in steps. */
  unindexed: `${prefix}:unindexed`,
  /** List of emails that ended, in that order, with their content still there. */
  ended: `${prefix}:ended`,
  /** List of emails that ended and have lost their content. */
  emptied: `${prefix}:emptied`,
  /** String: the answer given for an Idempotency-Key. */
  idempotency: (scope: string) => `${prefix}:idem:${scope}`,
  /** Sorted set of emails by when they are due: new ones, and those that a caller moved. */
  due: (lane: Lane) => `${prefix}:due:${lane}`,
  /** Sorted set of the routings by which mail may be parked, each as its hash, by when a worker had it last. */
  routings: `${prefix}:routings`,
  /** Set of the transports that mail is parked for. */
  parkedFor: `${prefix}:parked-for`,
  /** Sorted set of emails to be tried again, by when they come again; a parked email has the end of its time here. */
  again: (lane: Lane) => `${prefix}:again:${lane}`,
  /** Hash: take -> the end of its lease and the ids that a feeder took and has not queued yet. */
  taken: (lane: Lane) => `${prefix}:taken:${lane}`,
  /** List: one entry while an email is due and no worker was woken for it. */
  bell: `${prefix}:bell`,
  /** Stream: every event, in the order it was committed. */
  outbox: `${prefix}:outbox`,
  /** String: the place of the last event trimmed from the outbox, written in the same step. */
  outboxTrimmed: `${prefix}:outbox:trimmed`,
  /** Hash: webhook id -> endpoint as JSON, its secret sealed. */
  webhooks: `${prefix}:webhooks`,
  /** String: the refresh token that a token server gave last for an account, sealed. */
  refreshToken: (account: string) => `${prefix}:refresh-token:${account}`,
  /** String: the access token that a token server gave last for an account, sealed, until shortly before its end. */
  accessToken: (account: string) => `${prefix}:access-token:${account}`,
  /** String: the process that has its turn at a token server. */
  refreshTurn: (account: string) => `${prefix}:refresh-turn:${account}`,
  /** Hash: an API key's facts (JSON), name, usedAt; found by the hash of its token. */
  apiKey: (tokenHash: string) => `${prefix}:api-key:${tokenHash}`,
  /** Sorted set, all scores 0: `<id>.<token hash>` of each API key. */
  apiKeys: `${prefix}:api-keys`,
  /** Hash: a template's `head` as JSON, and for each version `v<n>`, its packed content, and `t<n>`, when it was made. */
  template: (id: string) => `${prefix}:template:${id}`,
  /** Sorted set, all scores 0: the ids of templates. */
  templates: `${prefix}:templates`,
  /** Hash: alias -> id of its template. */
  templateAliases: `${prefix}:template-aliases`,
  /**
   * Hash: a campaign's `head` as JSON, `content` packed, `status`, `scheduledAt`, `startedAt`, `endedAt`, while it is paused `pausedAt`; `chunks`
   * it has and `cursor`, the first place that was never taken; `n:<count>` for each count of its recipients and for all; `events`, the number of
   * its last event; `tokens`, the messages its rate allowed at `tokensAt`; `movedAt`, when it was last started or resumed or a recipient was
   * settled; `pace`, measured from `paceAt` and `paceLeft`, which holds until `paceEnds`; `recall` once its slices are taken again because it was
   * canceled; `closed` once it takes no more recipients and the sets of its addresses are gone; `change`, the ids and times of the last moves;
   * `batch`, the ids of the last batches of recipients that came without an Idempotency-Key; `typesSince`, the revision of the head that last
   * gave a variable another type.
   */
  campaign: (id: string) => `${prefix}:campaign:${id}`,
  /** Sorted set, all scores 0: the ids of campaigns. */
  campaigns: `${prefix}:campaigns`,
  /** Sorted set of campaigns with work to do, by when it is due. */
  campaignsDue: `${prefix}:campaigns-due`,
  /** Channel: the id of a campaign that got a turn. */
  campaignsBell: `${prefix}:campaigns-bell`,
  /** Sorted set of removed campaigns with remaining keys; the score is their number of chunks. */
  campaignsRemoved: `${prefix}:campaigns-removed`,
  /** String: a chunk of a campaign's recipients, packed. */
  campaignChunk: (id: string, chunk: number) => `${prefix}:campaign:${id}:chunk:${chunk}`,
  /** String: one byte for each place of a campaign. */
  campaignMarks: (id: string) => `${prefix}:campaign:${id}:marks`,
  /**
   * Sorted set of slices that were taken and are not finished, by when they are taken again: the end of the lease, or the time that `release`
   * set.
   */
  campaignSlices: (id: string) => `${prefix}:campaign:${id}:slices`,
  /**
   * Hash: slice in hand -> `take allowed since`: the take that has it, how many messages that may send, and when its lease began. Then ` :` and
   * the transports that it was set aside for, separated by commas, if it was. ` lapsed` is the end of it once its lease was found to be over.
   */
  campaignTakers: (id: string) => `${prefix}:campaign:${id}:takers`,
  /** Sorted set, all scores 0: `transport:slice` for each transport that all recipients left of a slice wait for. */
  campaignAside: (id: string) => `${prefix}:campaign:${id}:aside`,
  /** List: outcomes of the places of a chunk, packed in groups. */
  campaignOutcomes: (id: string, chunk: number) => `${prefix}:campaign:${id}:outcomes:${chunk}`,
  /** Set: 64 bits of each address of a bucket, so that no address is in a campaign twice. */
  campaignAddresses: (id: string, bucket: number) => `${prefix}:campaign:${id}:addresses:${bucket}`,
  /** Hash: how far uploads of recipients came, by the Idempotency-Key they came with; `<it>:lease` and `<it>:batch` while one is under way. */
  campaignUploads: (id: string) => `${prefix}:campaign:${id}:uploads`,
  /** Sorted set of these uploads by the end of their last lease: the oldest are forgotten. */
  campaignUploadTimes: (id: string) => `${prefix}:campaign:${id}:upload-times`,
  /** String: requests of an API key in the present window. */
  rateLimit: (id: string, windowMs: number) => `${prefix}:rate:${id}:${windowMs}`,
  /** Sorted set of parcels that wait for an endpoint, by when they are due. */
  posts: (webhookId: string) => `${prefix}:posts:${webhookId}`,
  /** Sorted set of parcels being posted to an endpoint, by the end of their lease; half a millisecond less when one was replayed meanwhile. */
  posting: (webhookId: string) => `${prefix}:posting:${webhookId}`,
  /** Hash: how an endpoint fares: `failures` in a row, `failingSince`, `restUntil`, and `restSince`, when that was said. */
  health: (webhookId: string) => `${prefix}:health:${webhookId}`,
  /**
   * Hash: how many events an endpoint takes in one batch after it refused one as too large: `most`, since `at`; the largest batch that it took
   * lately: `taken` events, at `takenAt`; the `delivery` that was refused last.
   */
  batchLimit: (webhookId: string) => `${prefix}:batch-limit:${webhookId}`,
  /** Sorted set of endpoints by when their next post is due. */
  postsDue: `${prefix}:posts-due`,
  /** Hash: delivery id -> the delivery with its tries, packed. */
  deliveries: (webhookId: string) => `${prefix}:deliveries:${webhookId}`,
  /** Sorted set of deliveries of one status, by their last try. */
  deliveriesBy: (webhookId: string, status: DeliveryStatus) => `${prefix}:deliveries:${webhookId}:${status}`,
  /** Hash: `<delivery id>.<try>` -> the answer of the endpoint. */
  answers: (webhookId: string) => `${prefix}:answers:${webhookId}`,
  /** Sorted set of these answers by when they came. */
  answersByTime: (webhookId: string) => `${prefix}:answers:${webhookId}:times`,
  /** List: ids of captured mail, newest first. */
  inbox: `${prefix}:inbox`,
  /** Hash: id -> the list entry of a captured mail, as JSON. */
  inboxEntries: `${prefix}:inbox:entries`,
  /** Hash: id -> the bytes of the captured message. */
  inboxRaw: `${prefix}:inbox:raw`,
  /** String: bytes in `inboxRaw`. */
  inboxBytes: `${prefix}:inbox:bytes`,
  /** Channel: the id of a captured mail; empty when the inbox was emptied. */
  inboxChannel: `${prefix}:inbox:new`,
  /** Hash: scope and address -> a suppression as JSON. */
  suppressions: `${prefix}:suppressions`,
  /** Sorted set, all scores 0: `<id>.<scope><reason><address>` of each suppression. */
  suppressionIds: `${prefix}:suppression-ids`,

  /** Hash: a transport's `paused`, `breaker`, `brake` and `granted` as JSON, and the id of the last change of its breaker. */
  transport: (name: string) => `${prefix}:transport:${name}`,
  /** Sorted set of emails parked for a transport, by when they were due; their marks are in `again`. */
  parked: (transport: string, lane: Lane) => `${prefix}:parked:${transport}:${lane}`,
  /** Sorted set of emails with a permit for a transport, by when it lapses; their tokens are taken already. */
  permits: (transport: string) => `${prefix}:permits:${transport}`,
  /**
   * Hash: window in milliseconds -> what was used of its rate; `released` counts what releases gave, emails and tokens for campaigns,
   * `released_bulk` what of it was bulk; `campaign_tokens`, set aside for campaigns, `campaign_tokens_since`, when
   * the first of them was, and `campaigns_asked`, when one asked last.
   */
  budget: (transport: string) => `${prefix}:budget:${transport}`,
  /** Hash: worker -> its last report about its connections, and how many it may have. */
  allotments: (transport: string) => `${prefix}:allotments:${transport}`,
};
