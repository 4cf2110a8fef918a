/** retry-failed: it takes a while where many failed, and what befalls the campaign meanwhile counts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bindEmails } from '../../src/app-emails.ts';
import { placeMarks } from '../../src/domain/campaign.ts';
import { retryFailed } from '../../src/pipeline/retry-failed.ts';
import { keys } from '../../src/store/keys.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import { addCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { openTestStore, type TestStore } from '../support/store.ts';

let world: TestStore;
let redis: TestStore['redis'];
let store: TestStore['store'];
beforeAll(async () => {
  world = await openTestStore();
  ({ redis, store } = world);
});
afterAll(() => world[Symbol.asyncDispose]());

it('ends where the campaign is canceled, and leaves nobody waiting behind those who call off what waits', async () => {
  const id = await addCampaign(redis, { recipients: 60, status: 'completed' });
  await redis.set(keys.campaignMarks(id), placeMarks.failed.repeat(60));
  await redis.hset(keys.campaign(id), { 'n:pending': 0, 'n:failed': 60 });
  const { emails, change } = bindEmails({ report: { settled() {} } } as never, store, openTemplating());
  let asked = 0;
  const changing: typeof change = async (email, what) => {
    asked += 1;
    if (asked === 21) await store.campaigns.move(id, { move: 'cancel', changeId: 'ch', now: Date.now(), at: null });
    return change(email, what);
  };
  expect(await retryFailed({ ...store, read: emails.read, change: changing }, id)).toBeNull();
  const { status, counts } = await standingOf(redis, id);
  expect(status).toBe('canceled');
  // Those of before wait for a worker, which cancels them.
  expect(counts).toMatchObject({ pending: 20, canceled: 20, failed: 20 });
  expect(await tallyOf(redis, id)).toEqual(counts);
});
