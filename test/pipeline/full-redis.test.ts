/** A Redis that is full: whatever gives room does so there too, for it is needed most then. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { adminKey, hashToken } from '../../src/domain/api-key.ts';
import { makeRound, sweepCampaigns } from '../../src/pipeline/sweep-campaigns.ts';
import { sweepEvents } from '../../src/pipeline/sweep-events.ts';
import { markOf } from '../../src/store/campaign-addresses.ts';
import { keys } from '../../src/store/keys.ts';
import { openAccessTokens, openRefreshTokens } from '../../src/store/oauth-tokens.ts';
import { addCampaign, rowOf } from '../support/campaigns.ts';
import { openConsumer } from '../support/consumer.ts';
import { type Keepsakes, openKeepsakes } from '../support/keepsakes.ts';
import { day, openPosting, type Posting } from '../support/posting.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { storeOver, type TestStore } from '../support/store.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let line: Posting;
let mail: Keepsakes;
let store: TestStore['store'];
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  mail = opened.use(openKeepsakes(server));
  store = await storeOver(mail.redis);
});
beforeEach(async () => {
  await mail.redis.config('SET', 'maxmemory', '0');
  await mail.redis.flushall();
  line = opened.use(await openPosting(server));
});
afterAll(() => opened.disposeAsync());

const never = new AbortController().signal;
const unexpected = (part: string, error: unknown) => {
  throw new Error(part, { cause: error });
};

/** From here on it takes nothing that needs room. */
async function fill(): Promise<void> {
  await mail.redis.config('SET', 'maxmemory', '1');
  await expect(mail.redis.set('more', 'x')).rejects.toThrow('OOM');
}

/** One with the address of somebody in it. */
async function addWithAddresses(status: 'running' | 'completed'): Promise<string> {
  const id = await addCampaign(mail.redis, { recipients: 1, status });
  const { key, member } = markOf(id, rowOf(0).address);
  await mail.redis.sadd(key, member);
  return id;
}

/** An endpoint that something was tried at, and that something waits for. */
async function addUsedWebhook(): Promise<string> {
  await using consumer = await openConsumer((n) => ({ status: n === 1 ? 200 : 500, body: 'no' }));
  const { id } = await line.addWebhook({ endpoint: consumer.url });
  for (let n = 0; n < 2; n++) {
    await line.emit(1);
    await line.notifyAll();
    await line.forwardAll();
  }
  return id;
}

const lost: unknown[] = [];
const sweeping = () => ({
  ...{ ...store, keep: { eventsMs: 0, events: 0 }, onTrouble: unexpected, now: () => line.now },
  reportLost: (told: unknown) => lost.push(told),
});

it('a sweep removes events and deliveries', async () => {
  const id = await addUsedWebhook();
  await fill();
  const later = () => line.now + day;
  await sweepEvents({ ...sweeping(), now: later }, never);
  expect(await mail.redis.xlen(keys.outbox)).toBe(1);
  expect(await mail.redis.get(keys.outboxTrimmed)).not.toBeNull();
  expect((await store.deliveries.page(id, { limit: 10 })).page).toMatchObject([{ status: 'pending' }]);
});

it('a sweep drops and reports posts of an endpoint that is down once their events are no longer stored', async () => {
  await using consumer = await openConsumer(() => ({ status: 500 }));
  const { id } = await line.addWebhook({ endpoint: consumer.url });
  await line.emit(3);
  await line.notifyAll();
  await line.forwardAll();
  await line.emit(1_500);
  await line.notifyAll();
  await fill();
  await sweepEvents(sweeping(), never);
  expect(await mail.redis.zcard(keys.posts(id))).toBe(1);
  expect(lost).toEqual([{ webhookId: id, parcels: 1_502 }]);
  const failed = { status: 'failed', reason: expect.stringMatching(/RETENTION_EVENTS/) };
  expect((await store.deliveries.page(id, { limit: 100 })).page).toMatchObject(Array(3 + 10).fill(failed));
});

it('emails that ended are removed, content and record', async () => {
  const [id = ''] = await mail.create([{}]);
  await mail.attempt(id, 'sent');
  mail.pass(30 * day);
  await fill();
  expect(await mail.forget()).toEqual({ contents: 1, records: 1 });
});

it('campaigns lose the addresses of their recipients, and are removed once their time is over', async () => {
  const [running, over] = [await addWithAddresses('running'), await addWithAddresses('completed')];
  await mail.redis.hset(keys.campaign(over), { 'n:pending': 0, endedAt: 1 });
  await fill();
  const deps = { retention: store.campaignRetention, keepMs: 1, round: makeRound(), report() {}, now: Date.now };
  await sweepCampaigns({ ...deps, onTrouble: unexpected }, never);
  expect(await mail.redis.keys(`*${over}*`)).toEqual([]);
  expect(await mail.redis.keys(`*${running}:addresses*`)).toEqual([]);
  expect((await store.campaignRetention.page(null)).page).toMatchObject([{ id: running, hasAddresses: false }]);
});

it('a new refresh token is stored, one process requests with it, and the others share the result', async () => {
  const shared = openAccessTokens(mail.redis, Buffer.alloc(32), () => randomBytes(12));
  const tokens = openRefreshTokens(mail.redis, Buffer.alloc(32), () => randomBytes(12));
  await tokens.keep('account', { token: 'first', at: 1 });
  await fill();
  await tokens.keep('account', { token: 'second', at: 2 });
  expect(await tokens.newest('account')).toEqual({ token: 'second', at: 2 });
  const turns = [await tokens.takeTurn('account', 60_000), await tokens.takeTurn('account', 60_000)];
  expect(turns).toEqual([expect.anything(), null]);
  await shared.share('account', 'refused', 60_000);
  await shared.share('account', 'access', 60_000);
  expect(await shared.shared('account')).toMatchObject({ token: 'access' });
  await shared.drop('account', 'access');
  expect(await shared.shared('account')).toBeNull();
});

it('a campaign is paused, and canceled', async () => {
  const id = await addCampaign(mail.redis, { recipients: 2, status: 'running' });
  await fill();
  const move = (asked: 'pause' | 'cancel') =>
    store.campaigns.move(id, { move: asked, changeId: `ch_${asked}`, now: line.now, at: null });
  await move('pause');
  expect(await mail.redis.hget(keys.campaign(id), 'status')).toBe('paused');
  await move('cancel');
  expect(await mail.redis.hget(keys.campaign(id), 'status')).toBe('canceled');
});

it('an endpoint is disabled, and its waiting events are dropped: those that were tried count as failed', async () => {
  const id = await addUsedWebhook();
  await fill();
  await line.webhooks.change(id, (was) => ({ webhook: { ...was, status: 'disabled', disabledReason: 'gone' } }));
  await store.posts.drop(id);
  expect(await mail.redis.exists(keys.posts(id), keys.health(id))).toBe(0);
  const { page } = await store.deliveries.page(id, { limit: 10 });
  expect(page.map(({ status }) => status).toSorted()).toEqual(['failed', 'success']);
});

it('an endpoint is removed, with its log', async () => {
  const id = await addUsedWebhook();
  await fill();
  expect(await store.webhooks.remove(id)).toBe(true);
  expect(await mail.redis.keys(`*${id}*`)).toEqual([]);
});

it('an endpoint is moved, and gets what waits for it there', async () => {
  const id = await addUsedWebhook();
  await fill();
  await line.webhooks.change(id, (was) => ({ webhook: { ...was, endpoint: 'https://app.example.com/moved' } }));
  await store.posts.renew(id, line.now);
  expect(await store.posts.due(line.now, 1, day)).toEqual({ ids: [id], nextAt: null });
});

it('an API key is revoked', async () => {
  const key = { ...adminKey, id: 'ak_1', name: 'shop' };
  await store.apiKeys.add(key, hashToken('pr_shop'));
  await fill();
  expect(await store.apiKeys.revoke('ak_1')).toBe(true);
  expect(await store.apiKeys.find(hashToken('pr_shop'), line.now)).toBeNull();
});

it('the dev inbox is emptied', async () => {
  const envelope = { from: 'a@x.co', to: ['b@x.co'] };
  await store.inbox.add({ id: 'mi_1', at: 1, emailId: 'em_1', envelope, raw: Buffer.from('Subject: Hi') });
  await fill();
  await store.inbox.clear();
  expect(await store.inbox.list()).toEqual([]);
});
