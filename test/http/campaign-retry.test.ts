/** POST /v1/campaigns/:id/retry-failed that is cut short: its answer is of the moment in which it was. */
import { expect, it } from 'vitest';
import { placeMarks } from '../../src/domain/campaign.ts';
import { campaignRetryRoutes } from '../../src/http/campaign-retry.ts';
import { retryFailed } from '../../src/pipeline/retry-failed.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign } from '../support/campaigns.ts';
import { emailStagesOver } from '../support/email-stages.ts';
import { buildTestServer } from '../support/http-server.ts';
import { apiClient } from '../support/postrider.ts';
import { newId, openTestStore } from '../support/store.ts';

it('a retry that a cancel cuts short is refused with the status the campaign has by then, and leaves its key free', async () => {
  await using world = await openTestStore();
  const { redis, store } = world;
  const id = await addCampaign(redis, { recipients: 30, status: 'running' });
  await redis.set(keys.campaignMarks(id), placeMarks.failed.repeat(30));
  const { emailsAnywhere: emails, change } = emailStagesOver(store);
  const canceling: typeof change = async (...given) => {
    await store.campaigns.move(id, { move: 'cancel', changeId: 'ch', now: Date.now(), at: null });
    return change(...given);
  };
  const walking = retryFailed.bind(null, { ...store, read: emails.read, change: canceling });
  const routes = campaignRetryRoutes({ ...store, retryFailed: walking, newId, now: Date.now });
  await using server = await buildTestServer({ ...store, api: [routes], now: Date.now });
  const api = apiClient(await server.listen({ port: 0, host: '127.0.0.1' }));
  const answer = await api('POST', `/v1/campaigns/${id}/retry-failed`, undefined, { 'idempotency-key': 'one' });
  expect(answer).toMatchObject({ status: 409, body: { campaign_status: 'canceled' } });
  expect(answer.body.detail).toContain('Its status is canceled.');
  expect(await redis.keys(keys.idempotency('*'))).toEqual([]);
});
