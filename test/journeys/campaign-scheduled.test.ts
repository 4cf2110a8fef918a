/** A campaign that waits for its time: each of its emails says so, and what happens to one before then is told as of any other. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { apiClient, type Body, type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let receiver: Receiver;
let postrider: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  receiver = opened.use(await openReceiver());
  const env = { REDIS_URL: redis.url, SMTP_URL: 'smtp://127.0.0.1:9?tls=none', LOG_LEVEL: 'warn' };
  postrider = opened.use(await startPostrider({ ...env, WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true' }));
});
afterAll(() => opened.disposeAsync());

const at = new Date(Date.now() + 864_000_000).toISOString();
const get = async (path: string) => (await postrider.api('GET', path)).body;
const idsOf = ({ data }: Body) => data.map((one) => one.id ?? (one as unknown as { email_id: string }).email_id);

async function schedule(recipients: number): Promise<{ campaign: Body; emails: string[] }> {
  const content = { from: 'News <news@shop.test>', subject: 'News', text: 'News', metadata: { issue: 7 } };
  const asked = { ...content, tags: [{ name: 'kind', value: 'news' }], scheduled_at: at };
  const { id } = (await postrider.api('POST', '/v1/campaigns', asked)).body;
  const list = Array.from({ length: recipients }, (_, n) => ({ email: `r${n}@all.test` }));
  await postrider.api('POST', `/v1/campaigns/${id}/recipients`, list);
  const { status } = (await postrider.api('POST', `/v1/campaigns/${id}/send`)).body;
  expect(status).toBe('scheduled');
  return { campaign: await get(`/v1/campaigns/${id}`), emails: idsOf(await get(`/v1/campaigns/${id}/recipients`)) };
}

it('its emails are scheduled since it was made, and are found so', async () => {
  const { campaign, emails } = await schedule(2);
  const [first = ''] = emails;
  expect(await get(`/v1/emails/${first}`)).toMatchObject({
    ...{ status: 'scheduled', last_event: 'scheduled', created_at: campaign.created_at, scheduled_at: at },
    recipients: [{ status: 'scheduled', next_attempt_at: at }],
  });
  expect(await get(`/v1/emails/${first}/events`)).toMatchObject({
    data: [{ kind: 'accepted', at: campaign.created_at, events: [] }],
  });
  expect(await get(`/v1/emails/${first}/explain`)).toMatchObject({ reason: 'campaign_scheduled', moves_at: at });
  const { id } = campaign;
  for (const [status, found] of [
    ['scheduled', emails],
    ['queued', []],
  ] as const) {
    expect(idsOf(await get(`/v1/campaigns/${id}/recipients?status=${status}`))).toEqual(found);
    expect(idsOf(await get(`/v1/emails?campaign_id=${id}&status=${status}`))).toEqual(found.toReversed());
  }
  expect(await get(`/v1/campaigns/${id}`)).toMatchObject({ counts: { recipients: 2, pending: 2 } });
});

it('one of them goes when it does, and one that is canceled keeps its times', async () => {
  const { campaign, emails } = await schedule(2);
  const [first = '', second = ''] = emails;
  const later = { scheduled_at: 'in 11 days' };
  expect(await postrider.api('PATCH', `/v1/emails/${first}`, later)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining(`it is sent with its campaign: POST /v1/campaigns/${campaign.id}/send`) },
  });
  expect((await postrider.api('POST', `/v1/emails/${second}/cancel`)).body.status).toBe('canceled');
  const times = { created_at: campaign.created_at, scheduled_at: at };
  expect(await get(`/v1/emails/${second}`)).toMatchObject({ ...times, status: 'canceled' });
  expect((await get(`/v1/emails/${second}/events`)).data).toMatchObject([
    { kind: 'accepted', at: campaign.created_at, events: [] },
    { kind: 'canceled', events: [{ type: 'email.canceled', sequence: 1 }] },
  ]);
  expect(await get(`/v1/campaigns/${campaign.id}`)).toMatchObject({ counts: { pending: 1, canceled: 1 } });
});

it('canceled before its time, it reports each recipient with all that is known, to all endpoints and readers that may see it', async () => {
  const hooks = [{ lane: 'bulk' }, { tags: { kind: 'news' } }];
  for (const filter of hooks)
    await postrider.api('POST', '/v1/webhooks', { endpoint: receiver.url, events: ['email.canceled'], filter });
  const { body: key } = await postrider.api('POST', '/v1/api-keys', {
    ...{ name: 'reader', scopes: ['read'], from_domains: ['shop.test'], lanes: ['bulk'] },
  });
  const { campaign, emails } = await schedule(1);
  const [id = ''] = emails;
  await postrider.api('POST', `/v1/campaigns/${campaign.id}/cancel`);
  const heard = await until('both webhooks to hear of it', () => {
    const all = receiver.hooks.filter(({ event }) => event.data.email_id === id);
    return all.length === hooks.length && all;
  });
  const data = {
    ...{ email_id: id, campaign_id: campaign.id, from: 'news@shop.test', subject: 'News', to: ['r0@all.test'] },
    ...{ tags: { kind: 'news' }, metadata: { issue: 7 }, created_at: campaign.created_at, sequence: 1 },
  };
  expect(heard.map(({ event }) => event)).toMatchObject(hooks.map(() => ({ type: 'email.canceled', data })));
  const feed = await apiClient(postrider.url, key.token)('GET', '/v1/events?types=email.canceled');
  expect(feed.body.data.filter((one) => (one as unknown as { data: typeof data }).data.email_id === id)).toMatchObject([
    { data },
  ]);
  const times = { created_at: campaign.created_at, scheduled_at: at };
  expect(await get(`/v1/emails/${id}`)).toMatchObject({ ...times, status: 'canceled', last_event: 'canceled' });
});
