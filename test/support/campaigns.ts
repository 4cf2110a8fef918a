/** Campaigns as they stand in Redis once their recipients are there, written without an upload; and what is counted of them, by another way. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import {
  type CampaignContent,
  type CampaignCount,
  type CampaignHead,
  type CampaignRow,
  type CampaignStatus,
  campaignCounts,
  chunkSize,
  countOf,
  type PlaceMark,
  placeMarks,
  readMark,
} from '../../src/domain/campaign.ts';
import { statusOf } from '../../src/domain/email.ts';
import type { OutboxEvent } from '../../src/domain/event.ts';
import { makeCampaignId, placeId } from '../../src/domain/id.ts';
import type { RecipientStatus } from '../../src/domain/recipient.ts';
import { packChunk } from '../../src/store/campaign-chunk.ts';
import { pack } from '../../src/store/content.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { unpackEvent } from '../../src/store/record.ts';

export type NewCampaign = {
  readonly recipients: number | readonly CampaignRow[];
  readonly head?: Partial<CampaignHead>;
  readonly content?: Partial<CampaignContent>;
  readonly status?: CampaignStatus;
  /** For a scheduled one. */
  readonly scheduledAt?: number;
  /** When its draft was; now where that is left out. */
  readonly madeAt?: number;
  /** Places that stay without a recipient. */
  readonly absent?: readonly number[];
};

export const plainContent: CampaignContent = {
  ...{ subject: 'News', html: null, text: 'Hello {{ name }}', preheader: null },
  ...{ from: null, replyTo: [], missing: 'lenient', variables: [] },
};

/** @returns its id */
export async function addCampaign(redis: Redis, given: NewCampaign): Promise<string> {
  const now = Date.now();
  const id = makeCampaignId(given.madeAt ?? now, randomBytes(10));
  const { recipients, status = 'running', absent = [] } = given;
  const rows = typeof recipients === 'number' ? Array.from({ length: recipients }, (_, n) => rowOf(n)) : recipients;
  const head: CampaignHead = {
    ...{ id, createdAt: now, keyId: 'ak_1', name: 'test', from: { address: 'news@x.co' }, replyTo: [], headers: {} },
    ...{ tags: [], metadata: null, route: null, onUnknown: 'retry', rate: null, template: null, subject: 'News' },
    ...given.head,
  };
  const content = await pack(Buffer.from(JSON.stringify({ ...plainContent, ...given.content })));
  const chunks = Math.ceil(rows.length / chunkSize);
  for (let n = 0; n < chunks; n++)
    await redis.set(keys.campaignChunk(id, n), packChunk(rows.slice(n * chunkSize, (n + 1) * chunkSize)));
  const marks = rows.map((_, place) => (absent.includes(place) ? placeMarks.absent : placeMarks.queued)).join('');
  if (marks !== '') await redis.set(keys.campaignMarks(id), marks);
  const count = rows.length - absent.length;
  const times = { ...(status === 'draft' || status === 'scheduled' ? {} : { startedAt: now }) };
  const schedule = given.scheduledAt === undefined ? {} : { scheduledAt: given.scheduledAt };
  await redis.hset(keys.campaign(id), {
    ...{ head: JSON.stringify(head), content, status, chunks, cursor: 0, events: 0, ...times, ...schedule },
    ...{ 'n:recipients': count, 'n:pending': count },
  });
  await redis.zadd(keys.campaigns, 0, id);
  if (status === 'running' || status === 'scheduled') await redis.zadd(keys.campaignsDue, given.scheduledAt ?? now, id);
  return id;
}

export function rowOf(n: number): CampaignRow {
  return { address: `r${n}@example.com`, variables: { name: `Reader ${n}` } };
}

/** Moves it as a caller would. */
export async function moveCampaign(redis: Redis, id: string, status: 'running' | 'paused' | 'canceled'): Promise<void> {
  const moved = redis.multi().hset(keys.campaign(id), 'status', status);
  if (status === 'paused') moved.zrem(keys.campaignsDue, id).hset(keys.campaign(id), 'pausedAt', Date.now());
  else moved.zadd(keys.campaignsDue, Date.now(), id);
  if (status === 'canceled') moved.hset(keys.campaign(id), 'endedAt', Date.now());
  await moved.exec();
}

/** The leases of all slices in hand end now. */
export async function endLeases(redis: Redis, id: string): Promise<void> {
  const slices = await redis.hkeys(keys.campaignTakers(id));
  if (slices.length > 0) await redis.zadd(keys.campaignSlices(id), 'XX', ...slices.flatMap((slice) => [1, slice]));
}

/** They have ended, and nobody renewed them for as long as that is waited for. */
export async function leaveSlices(redis: Redis, id: string): Promise<void> {
  for (const [slice, held] of Object.entries(await redis.hgetall(keys.campaignTakers(id))))
    await redis.hset(keys.campaignTakers(id), slice, held.replace(/( lapsed)?$/, ' lapsed'));
  await endLeases(redis, id);
}

export type Standing = {
  readonly status: CampaignStatus;
  readonly counts: Readonly<Record<CampaignCount | 'recipients', number>>;
  readonly marks: readonly PlaceMark[];
};

/** In one atomic step. */
export async function standingOf(redis: Redis, id: string): Promise<Standing> {
  const answer = await redis.multi().hgetall(keys.campaign(id)).get(keys.campaignMarks(id)).exec();
  const fields = answer?.[0]?.[1] as Record<string, string>;
  const counts = Object.fromEntries(
    [...campaignCounts, 'recipients'].map((name) => [name, Number(fields[`n:${name}`] ?? 0)]),
  );
  const marks = [...((answer?.[1]?.[1] as string | null) ?? '')].map(readMark);
  return { status: fields.status as CampaignStatus, counts: counts as Standing['counts'], marks };
}

/** What the marks and the records of those that left come to: not one atomic step, so nothing may move meanwhile. */
export async function tallyOf(redis: Redis, id: string): Promise<Standing['counts']> {
  const emails = openEmails(redis);
  const { marks } = await standingOf(redis, id);
  const tally: Record<string, number> = Object.fromEntries([...campaignCounts, 'recipients'].map((name) => [name, 0]));
  for (const [place, mark] of marks.entries()) {
    if (mark === 'absent') continue;
    const left = mark === 'left' ? await emails.read(placeId(id, place)) : null;
    const status = left === null ? (mark === 'handing' ? 'queued' : mark) : statusOf(left.state);
    const count = countOf(status as RecipientStatus);
    tally[count] = (tally[count] ?? 0) + 1;
    tally.recipients = (tally.recipients ?? 0) + 1;
  }
  return tally as Standing['counts'];
}

/** All events there are, oldest first. */
export async function eventsIn(redis: Redis): Promise<OutboxEvent[]> {
  const entries = await redis.xrange(keys.outbox, '-', '+');
  return entries.map(([, fields]) => unpackEvent(fields[1] ?? ''));
}
