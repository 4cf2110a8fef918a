/** Every Redis key Postrider writes. All share the hash tag {0}, so that what is written together lives on one cluster shard. */
import type { DeliveryStatus } from '../domain/delivery.ts';
import type { Lane } from '../domain/lane.ts';

const prefix = 'pr:{0}';

/** BullMQ's own keys live below this prefix. */
export const queuePrefix = `${prefix}:q`;

export const keys = {
  /**
   * Hash: facts, state (JSON), version, handOver; `t<n>` for each step of its timeline; the count of faults and the id of the last change;
   * the hashes of the files its content refers to, one after the other.
   */
  email: (id: string) => `${prefix}:email:${id}`,
  /** String: the packed content. */
  content: (id: string) => `${prefix}:content:${id}`,
  /** String: the bytes of an attached file, by their hash. */
  file: (hash: string) => `${prefix}:file:${hash}`,
  /** Hash: file hash -> how many contents refer to it. */
  fileUses: `${prefix}:files`,
  /** Sorted set of postings: what emails are found by. */
  emailIndex: `${prefix}:emails`,
  /** List: postings of an email that stand in none of its terms but its status yet: those of a large batch are added in steps. */
  unindexed: `${prefix}:unindexed`,
  /** List of emails that ended, in that order, with their content still there. */
  ended: `${prefix}:ended`,
  /** List of emails that ended and have lost their content. */
  emptied: `${prefix}:emptied`,
  /** String: the answer given for an Idempotency-Key. */
  idempotency: (scope: string) => `${prefix}:idem:${scope}`,
  /** Sorted set of emails by when they are due: new ones, and those that a caller moved. */
  due: (lane: Lane) => `${prefix}:due:${lane}`,
  /** Set: every transport that mail was ever parked for. */
  parkedFor: `${prefix}:parked-for`,
  /** Sorted set of emails that were tried, or could not be, by when they come again: parked ones at the end of their time. */
  again: (lane: Lane) => `${prefix}:again:${lane}`,
  /** Hash: what a feeder has taken and not yet queued; its lease and ids. */
  taken: (lane: Lane) => `${prefix}:taken:${lane}`,
  /** List: holds one entry while something is due that nobody was told of. */
  bell: `${prefix}:bell`,
  /** Stream: every event, in the order it was committed. */
  outbox: `${prefix}:outbox`,
  /** String: the place of the last entry that was trimmed from it, written in the same step. */
  outboxTrimmed: `${prefix}:outbox:trimmed`,
  /** Hash: webhook id -> endpoint as JSON, its secret sealed. */
  webhooks: `${prefix}:webhooks`,
  /** String: the refresh token that a token server gave last for an account, sealed. */
  refreshToken: (account: string) => `${prefix}:refresh-token:${account}`,
  /** String: the access token that a token server gave last for an account, sealed, until shortly before its end. */
  accessToken: (account: string) => `${prefix}:access-token:${account}`,
  /** String: who asks a token server at this moment. */
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
   * Hash: a campaign's `head` as JSON, `content` packed, `status`, `scheduledAt`, `startedAt`, `endedAt`; `chunks` it has and `cursor`, the
   * first place nobody took yet; `n:<count>` for each count of its recipients and all of them; `events`, the number of its last event;
   * `tokens`, what its rate allows at once, and `tokensAt`; `movedAt`, when it was last started or resumed or somebody of it settled; `pace` and what it is measured from, `paceAt` and `paceLeft`; `recall` once its
   * slices are taken anew as it was canceled; `closed` once nobody can be added and the sets of its addresses are gone;
   * `change`, the id of the last move; `batch`, the ids of the last batches of recipients that came without an Idempotency-Key.
   */
  campaign: (id: string) => `${prefix}:campaign:${id}`,
  /** Sorted set, all scores 0: the ids of campaigns. */
  campaigns: `${prefix}:campaigns`,
  /** Sorted set of campaigns in which there is something to do, by when. */
  campaignsDue: `${prefix}:campaigns-due`,
  /** Channel: the id of a campaign that has its turn from now on. */
  campaignsBell: `${prefix}:campaigns-bell`,
  /** Sorted set of campaigns that were removed while something of them is left, by how many chunks they had. */
  campaignsRemoved: `${prefix}:campaigns-removed`,
  /** String: a chunk of a campaign's recipients, packed. */
  campaignChunk: (id: string, chunk: number) => `${prefix}:campaign:${id}:chunk:${chunk}`,
  /** String: one byte for each place of a campaign. */
  campaignMarks: (id: string) => `${prefix}:campaign:${id}:marks`,
  /** Sorted set of slices that were taken, by when their lease ends: then they are taken again. */
  campaignSlices: (id: string) => `${prefix}:campaign:${id}:slices`,
  /** Hash: slice -> who has it in hand, and how many messages may leave. */
  campaignTakers: (id: string) => `${prefix}:campaign:${id}:takers`,
  /** List: what came of the places of a chunk, packed, a group at a time. */
  campaignOutcomes: (id: string, chunk: number) => `${prefix}:campaign:${id}:outcomes:${chunk}`,
  /** Set: 64 bits for each address of a bucket, so that nobody is in a campaign twice. */
  campaignAddresses: (id: string, bucket: number) => `${prefix}:campaign:${id}:addresses:${bucket}`,
  /** Hash: how far uploads of recipients came, by the Idempotency-Key they came with; `<it>:lease` and `<it>:batch` while one is under way. */
  campaignUploads: (id: string) => `${prefix}:campaign:${id}:uploads`,
  /** Sorted set of those by until when they were last taken in hand: the oldest are forgotten. */
  campaignUploadTimes: (id: string) => `${prefix}:campaign:${id}:upload-times`,
  /** String: requests of an API key in the present window. */
  rateLimit: (id: string, windowMs: number) => `${prefix}:rate:${id}:${windowMs}`,
  /** Sorted set of what waits to be posted to an endpoint, by when it is due. */
  posts: (webhookId: string) => `${prefix}:posts:${webhookId}`,
  /** Sorted set of what is being posted to an endpoint, by when the lease of its worker ends: half a millisecond before, where it was replayed meanwhile. */
  posting: (webhookId: string) => `${prefix}:posting:${webhookId}`,
  /** Hash: how an endpoint fares: `failures` in a row, `failingSince`, `restUntil`, and `restSince`, when that was said. */
  health: (webhookId: string) => `${prefix}:health:${webhookId}`,
  /** Hash: how many events an endpoint takes in one batch after it refused one as too large: `most`, since `at`; the `delivery` that was refused last. */
  batchLimit: (webhookId: string) => `${prefix}:batch-limit:${webhookId}`,
  /** Sorted set of endpoints by when something is due for them. */
  postsDue: `${prefix}:posts-due`,
  /** Hash: delivery id -> what was tried, packed. */
  deliveries: (webhookId: string) => `${prefix}:deliveries:${webhookId}`,
  /** Sorted set of deliveries of one status, by their last try. */
  deliveriesBy: (webhookId: string, status: DeliveryStatus) => `${prefix}:deliveries:${webhookId}:${status}`,
  /** Hash: `<delivery id>.<try>` -> what an endpoint answered. */
  answers: (webhookId: string) => `${prefix}:answers:${webhookId}`,
  /** Sorted set of those by when they came. */
  answersByTime: (webhookId: string) => `${prefix}:answers:${webhookId}:times`,
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
  /** Hash: scope and address -> a suppression as JSON. */
  suppressions: `${prefix}:suppressions`,
  /** Sorted set, all scores 0: `<id>.<scope><reason><address>` of each suppression. */
  suppressionIds: `${prefix}:suppression-ids`,

  /** Hash: a transport's `paused`, `breaker` and `brake` as JSON, and the id of the last change of its breaker. */
  transport: (name: string) => `${prefix}:transport:${name}`,
  /** Sorted set by when they were due: emails that wait for a transport; their marks stand in `again`. */
  parked: (transport: string, lane: Lane) => `${prefix}:parked:${transport}:${lane}`,
  /** Sorted set by when it lapses: emails that may go over a transport, their tokens being taken already. */
  permits: (transport: string) => `${prefix}:permits:${transport}`,
  /** Hash: window in milliseconds -> what was used of it; `released` counts the emails that were let go on. */
  budget: (transport: string) => `${prefix}:budget:${transport}`,
  /** Hash: worker -> what it last told of its connections and how many it may have. */
  allotments: (transport: string) => `${prefix}:allotments:${transport}`,
};
