/** retry-failed: it takes a while where many failed, and what befalls the campaign meanwhile counts. */
import { expect, it } from 'vitest';
import { placeMarks } from '../../src/domain/campaign.ts';
import type { StoredEmail } from '../../src/domain/email.ts';
import { placeId } from '../../src/domain/id.ts';
import { retryFailed } from '../../src/pipeline/retry-failed.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { emailStagesOver } from '../support/email-stages.ts';
import { storeOver, type TestStore } from '../support/store.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: TestStore['redis'];
let store: TestStore['store'];
let found: ReturnType<typeof emailStagesOver>;
useTestRedis(async (server) => {
  redis = server.connect();
  store = await storeOver(redis);
  found = emailStagesOver(store);
});

type Changing = typeof found.change;
const retry = (id: string, change: Changing) => retryFailed({ ...store, read: found.emailsAnywhere.read, change }, id);
const cancel = (id: string) => store.campaigns.move(id, { move: 'cancel', changeId: 'ch', now: Date.now(), at: null });

/** One that is over, with so many in it who failed. */
async function addFailed(recipients: number): Promise<string> {
  const id = await addCampaign(redis, { recipients, status: 'completed' });
  await redis.set(keys.campaignMarks(id), placeMarks.failed.repeat(recipients));
  await redis.hset(keys.campaign(id), { 'n:pending': 0, 'n:failed': recipients });
  return id;
}

/** Does what is asked of the emails of a campaign, and cancels that right before one of them is retried. */
function cancelBefore(id: string, nth: number): Changing {
  let asked = 0;
  return async (email, what) => {
    asked += 1;
    if (asked === nth) await cancel(id);
    return found.change(email, what);
  };
}

it('a retry stops when the campaign is canceled, and reports that', async () => {
  const id = await addFailed(60);
  expect(await retry(id, cancelBefore(id, 21))).toEqual({ kind: 'refused', status: 'canceled' });
  const { status, counts } = await standingOf(redis, id);
  expect(status).toBe('canceled');
  // Those of before wait for a worker, which cancels them.
  expect(counts).toMatchObject({ pending: 20, canceled: 0, failed: 40 });
  expect(await tallyOf(redis, id)).toEqual(counts);
});

it('a retry whose process dies leaves no recipient pending in a canceled campaign', async () => {
  const id = await addFailed(40);
  let looks = 0;
  const status = (id: string) => {
    looks += 1;
    if (looks === 3) throw new Error('killed');
    return store.campaigns.status(id);
  };
  const dying = {
    ...store,
    campaigns: { ...store.campaigns, status },
    read: found.emailsAnywhere.read,
    change: cancelBefore(id, 21),
  };
  await expect(retryFailed(dying, id)).rejects.toThrow('killed');
  const { counts } = await standingOf(redis, id);
  expect(counts).toMatchObject({ pending: 20, failed: 20 });
  expect(await tallyOf(redis, id)).toEqual(counts);
});

it('an email that left its place cannot be retried once its campaign is canceled', async () => {
  const id = await addFailed(1);
  await redis.hset(keys.campaign(id), 'status', 'running');
  const read = async () => (await found.emailsAnywhere.read(placeId(id, 0))) as StoredEmail;
  expect((await found.change(await read(), { kind: 'retried' })).kind).toBe('changed');
  expect(await store.emails.commit(await read(), { state: ended(await read()), events: [], step: null }, '', 1)).toBe(
    true,
  );
  await redis.hset(keys.campaign(id), 'status', 'canceled');
  expect(await found.change(await read(), { kind: 'retried' })).toMatchObject({
    kind: 'refused',
    refused: 'its campaign was canceled',
  });
  const { counts } = await standingOf(redis, id);
  expect(counts).toMatchObject({ pending: 0, failed: 1 });
  expect(await tallyOf(redis, id)).toEqual(counts);
});

it('a repeated retry counts the recipients of the first one, and does not retry those that failed again since', async () => {
  const id = await addFailed(3);
  const again = () => retryFailed({ ...store, read: found.emailsAnywhere.read, change: found.change }, id, 'ch_1');
  expect(await again()).toEqual({ kind: 'retried', count: 3 });
  const email = (await found.emailsAnywhere.read(placeId(id, 0))) as StoredEmail;
  expect(await store.emails.commit(email, { state: ended(email), events: [], step: null }, '', 1)).toBe(true);
  expect(await again()).toEqual({ kind: 'retried', count: 3 });
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 2, failed: 1 });
  expect(await retry(id, found.change)).toEqual({ kind: 'retried', count: 1 });
});

it('a retry of a campaign that is removed meanwhile answers that it is gone', async () => {
  const id = await addFailed(0);
  await store.campaigns.remove(id);
  expect(await retry(id, found.change)).toEqual({ kind: 'gone' });
});

function ended({ state }: StoredEmail): StoredEmail['state'] {
  const failed = { status: 'failed', nextAttemptAt: null } as const;
  return { ...state, recipients: state.recipients.map((recipient) => ({ ...recipient, ...failed })) };
}
