/** What is asked of a single email of a campaign: it leaves its place by that, and is an email like any other from then on. */

import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { cpuMs, monotonicNow } from '../../src/chance.ts';
import { placeMarks } from '../../src/domain/campaign.ts';
import { placeId } from '../../src/domain/id.ts';
import { unsubscribeKey, unsubscribeToken } from '../../src/domain/unsubscribe.ts';
import { commitChange } from '../../src/pipeline/commit-change.ts';
import { lookUp, makeLetter } from '../../src/pipeline/look-up.ts';
import { retryFailed } from '../../src/pipeline/retry-failed.ts';
import { settleChange } from '../../src/pipeline/settle.ts';
import { keys } from '../../src/store/keys.ts';
import { openStore } from '../../src/store/store.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import { addCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { type Postrider, testSecretKey } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';
import { newId } from '../support/worker.ts';

const secretKey = Buffer.from(testSecretKey, 'hex');
let redis: Redis;
let api: Postrider;
usePostrider(
  (own, server) => {
    api = own;
    redis = server.connect();
  },
  { ROLES: 'api', LOG_LEVEL: 'warn' },
);

/** One of which five places ended in these ways. */
async function addEnded(marks: readonly (keyof typeof placeMarks)[]): Promise<string> {
  const id = await addCampaign(redis, { recipients: marks.length });
  await redis.set(keys.campaignMarks(id), marks.map((mark) => placeMarks[mark]).join(''));
  const counts = {
    'n:pending': 0,
    ...Object.fromEntries(
      [...Map.groupBy(marks, (mark) => `n:${mark === 'queued' ? 'pending' : mark}`)].map(([n, all]) => [n, all.length]),
    ),
  };
  await redis.hset(keys.campaign(id), counts);
  return id;
}

const ask = (id: string, place: number, what: 'cancel' | 'retry') =>
  api.api('POST', `/v1/emails/${placeId(id, place)}/${what}`);

it('a waiting recipient can be canceled and a failed one retried; a sent one can be neither', async () => {
  const id = await addEnded(['queued', 'failed', 'sent', 'queued']);
  expect(await ask(id, 0, 'cancel')).toMatchObject({ status: 200, body: { status: 'canceled' } });
  expect(await ask(id, 1, 'retry')).toMatchObject({ status: 200, body: { status: 'queued' } });
  expect(await ask(id, 2, 'cancel')).toMatchObject({ status: 409 });
  const { marks, counts } = await standingOf(redis, id);
  expect(marks).toEqual(['left', 'left', 'sent', 'queued']);
  expect(counts).toMatchObject({ recipients: 4, pending: 2, canceled: 1, sent: 1, failed: 0 });
  expect(counts).toEqual(await tallyOf(redis, id));
  expect(await redis.zscore(keys.again('bulk'), placeId(id, 1))).not.toBeNull();
  expect(await ask(id, 0, 'cancel')).toMatchObject({ status: 409 });
});

it('a recipient whose message is being handed over cannot be changed', async () => {
  const id = await addEnded(['handing' as 'queued']);
  expect(await ask(id, 0, 'cancel')).toMatchObject({ status: 409 });
  expect((await standingOf(redis, id)).marks).toEqual(['handing']);
});

it('a reader that unsubscribes by the link of a letter causes an event of that email', async () => {
  const id = await addEnded(['sent', 'queued']);
  const emailId = placeId(id, 0);
  const token = unsubscribeToken({ emailId, address: 'r0@example.com' }, unsubscribeKey(secretKey));
  const url = `${api.url}/u/${token}`;
  const body = new URLSearchParams({ 'List-Unsubscribe': 'One-Click' });
  expect((await fetch(url, { method: 'POST', body })).status).toBe(200);
  const email = await api.api('GET', `/v1/emails/${emailId}`);
  expect(email.body).toMatchObject({ last_event: 'unsubscribed', recipients: [{ status: 'sent' }] });
  expect((await standingOf(redis, id)).counts).toEqual(await tallyOf(redis, id));
});

it('retries all recipients that failed, expired or are held, and none that was refused', async () => {
  const id = await addEnded(['failed', 'bounced', 'expired', 'sent', 'failed', 'suppressed']);
  await redis.hset(keys.campaign(id), { status: 'completed', endedAt: 1 });
  const store = await openStore(redis, secretKey, () => Buffer.alloc(12));
  const looking = { ...store, templating: openTemplating({ now: monotonicNow, cpuMs }) };
  const found = lookUp.bind(null, looking);
  const making = { lookUp: found, makeLetter: makeLetter.bind(null, looking) };
  const emails = { read: found, commitChange: commitChange.bind(null, { ...store, ...making }) };
  const change = settleChange.bind(null, { emails, report: () => {}, newId, now: Date.now });
  expect(await retryFailed({ ...store, read: found, change }, id)).toEqual({ kind: 'retried', count: 3 });
  const { status, marks, counts } = await standingOf(redis, id);
  expect([status, marks.filter((mark) => mark === 'left').length]).toEqual(['running', 3]);
  expect(counts).toMatchObject({ pending: 3, failed: 0, expired: 0, bounced: 1, sent: 1, suppressed: 1 });
  expect(counts).toEqual(await tallyOf(redis, id));
  expect(await retryFailed({ ...store, read: found, change }, id)).toEqual({ kind: 'retried', count: 0 });
  await redis.hset(keys.campaign(id), 'status', 'canceled');
  expect(await retryFailed({ ...store, read: found, change }, id)).toEqual({ kind: 'refused', status: 'canceled' });
});

it('recipients whose letter cannot be made are not retried, and the answer says so', async () => {
  const content = { missing: 'strict', text: 'Your plan: {{ plan }}' } as const;
  const rows = [{ plan: 'gold' }, {}].map((variables, n) => ({ address: `r${n}@example.com`, variables }));
  const id = await addCampaign(redis, { recipients: rows, content });
  await redis.set(keys.campaignMarks(id), placeMarks.failed.repeat(2));
  await redis.hset(keys.campaign(id), { status: 'completed', endedAt: 1, 'n:pending': 0, 'n:failed': 2 });
  expect(await ask(id, 1, 'retry')).toMatchObject({
    status: 409,
    body: {
      detail: expect.stringMatching(/cannot be retried: its letter could not be made: \S*plan .* Its status is failed/),
    },
  });
  expect(await api.api('POST', `/v1/campaigns/${id}/retry-failed`)).toMatchObject({ body: { retried: 1 } });
  const { marks, counts } = await standingOf(redis, id);
  expect(marks).toEqual(['left', 'failed']);
  expect(counts).toMatchObject({ pending: 1, failed: 1 });
});

it('a retry under one Idempotency-Key is done once, whatever failed since, and repeats that race get one answer', async () => {
  const id = await addEnded(['failed', 'sent', 'failed', 'failed']);
  await redis.hset(keys.campaign(id), { status: 'completed', endedAt: 1 });
  const retry = (key: string) =>
    api.api('POST', `/v1/campaigns/${id}/retry-failed`, undefined, { 'idempotency-key': key });
  const answers = await Promise.all(['one', 'one', 'one'].map(retry));
  expect(answers.map(({ status, body }) => [status, body])).toEqual(
    Array(3).fill([200, { object: 'campaign', id, retried: 3 }]),
  );
  expect(answers.filter(({ headers }) => headers['idempotent-replayed'] === 'true')).toHaveLength(2);
  await redis.setrange(keys.campaignMarks(id), 1, placeMarks.failed);
  expect(await retry('one')).toMatchObject({ body: { retried: 3 }, headers: { 'idempotent-replayed': 'true' } });
  expect((await standingOf(redis, id)).marks[1]).toBe('failed');
  const other = await addEnded(['failed']);
  const elsewhere = await api.api('POST', `/v1/campaigns/${other}/retry-failed`, undefined, {
    'idempotency-key': 'one',
  });
  expect(elsewhere.body).toMatchObject({ name: 'invalid_idempotent_request' });
});

it('recipients of a canceled campaign are not retried, alone or together, and the answer says so', async () => {
  const id = await addEnded(['failed', 'sent']);
  await redis.hset(keys.campaign(id), { status: 'canceled', endedAt: 1 });
  expect((await api.api('POST', `/v1/campaigns/${id}/retry-failed`)).status).toBe(409);
  const { status, body } = await ask(id, 0, 'retry');
  expect([status, body.detail]).toEqual([
    409,
    expect.stringContaining('retried: its campaign was canceled. Its status'),
  ]);
  expect((await standingOf(redis, id)).marks).toEqual(['failed', 'sent']);
});

it('a retry that was refused leaves its key free', async () => {
  const id = await addEnded(['failed']);
  const retry = () => api.api('POST', `/v1/campaigns/${id}/retry-failed`, undefined, { 'idempotency-key': 'free' });
  await redis.hset(keys.campaign(id), { status: 'canceled', endedAt: 1 });
  expect((await retry()).status).toBe(409);
  await redis.hset(keys.campaign(id), 'status', 'running');
  const answer = await retry();
  expect(answer).toMatchObject({ status: 200, body: { retried: 1 } });
  // Nor is it taken for a repeat.
  expect(answer.headers).not.toHaveProperty('idempotent-replayed');
});

it('a filter that too few of the emails of a campaign match is refused with the route to use instead', async () => {
  const id = await addEnded(Array(2_001).fill('left'));
  const { status, body } = await api.api('GET', `/v1/emails?campaign_id=${id}&status=sent`);
  expect([status, body.errors]).toMatchObject([
    422,
    [{ pointer: '#/query/status', message: expect.stringContaining(`GET /v1/campaigns/${id}/recipients?status=`) }],
  ]);
});
