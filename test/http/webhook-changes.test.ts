/** PATCH /v1/webhooks/:id over a real Redis, with what may happen between two of its steps: nothing that an endpoint is to be told is lost. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Webhook } from '../../src/domain/webhook.ts';
import { webhookChangeRoutes } from '../../src/http/webhook-changes.ts';
import { keys } from '../../src/store/keys.ts';
import type { Webhooks } from '../../src/store/webhooks.ts';
import { buildTestServer } from '../support/http-server.ts';
import { openPosting, type Posting } from '../support/posting.ts';
import { type ApiClient, apiClient } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { unused } from '../support/unused.ts';

const opened = new AsyncDisposableStack();
let line: Posting;
let api: ApiClient;
/** What happens right after an endpoint was changed, before its change goes on. */
let afterChange: () => Promise<void> = async () => {};
beforeAll(async () => {
  line = opened.use(await openPosting(opened.use(await openTestRedis())));
  const change: Webhooks['change'] = async (id, decide) => {
    const webhook = await line.webhooks.change(id, decide);
    await afterChange();
    return webhook;
  };
  const deps = { ...line, webhooks: { ...line.webhooks, change }, now: () => line.now };
  const routes = webhookChangeRoutes({
    ...deps,
    entropy: unused,
    creations: { begin: unused, end: unused, giveUp: unused },
    testWebhook: unused,
  });
  const server = await buildTestServer({ api: [routes] });
  opened.defer(() => server.close());
  api = apiClient(await server.listen({ host: '127.0.0.1', port: 0 }));
});
afterAll(() => opened.disposeAsync());

const changeTo = async ({ id }: Webhook, status: 'enabled' | 'disabled') => {
  expect(await api('PATCH', `/v1/webhooks/${id}`, { status })).toMatchObject({ status: 200, body: { status } });
};
const waiting = ({ id }: Webhook) => line.redis.zcard(keys.posts(id));

it('an endpoint may be named once more in the body, as SDKs do, and no other', async () => {
  const { id } = await line.addWebhook({ endpoint: 'https://app.example.com/hooks' });
  const change = (webhook_id: string) => api('PATCH', `/v1/webhooks/${id}`, { webhook_id, description: 'Mine' });
  expect(await change(id)).toMatchObject({ status: 200, body: { id, description: 'Mine' } });
  expect(await change('wh_1')).toMatchObject({ status: 422, body: { errors: [{ pointer: '/webhook_id' }] } });
  expect(await line.webhooks.get(id)).not.toHaveProperty('webhook_id');
});

it('an event that arrives right after an endpoint was enabled stays, and older remains are removed', async () => {
  const webhook = await line.addWebhook({ endpoint: 'https://app.example.com/hooks' });
  await changeTo(webhook, 'disabled');
  await line.redis.hset(keys.health(webhook.id), { failures: 9, failingSince: 1 });
  await line.posts.again(webhook.id, ['1-0'], line.now);
  afterChange = async () => {
    await line.emit(1);
    await line.notifyAll();
  };
  await changeTo(webhook, 'enabled');
  expect(await waiting(webhook)).toBe(1);
  expect(await line.redis.exists(keys.health(webhook.id))).toBe(0);
});

it('which batches were too large for an endpoint is forgotten once it takes others, is moved or disabled', async () => {
  const batch = { max_events: 10, max_wait_ms: 0 };
  const { id } = await line.addWebhook({ endpoint: 'https://app.example.com/hooks', batch });
  const limit = keys.batchLimit(id);
  for (const change of [{ batch }, { endpoint: 'https://b.example.com/' }, { status: 'disabled' }]) {
    await line.redis.hset(limit, { most: 1, at: line.now });
    await api('PATCH', `/v1/webhooks/${id}`, { description: 'as it was' });
    expect(await line.redis.exists(limit)).toBe(1);
    await api('PATCH', `/v1/webhooks/${id}`, change);
    expect(await line.redis.exists(limit)).toBe(0);
  }
});

it('a disable removes no event that came after another request enabled the endpoint again', async () => {
  const webhook = await line.addWebhook({ endpoint: 'https://app.example.com/hooks' });
  afterChange = async () => {
    afterChange = async () => {};
    await changeTo(webhook, 'enabled');
    await line.emit(1);
    await line.notifyAll();
  };
  await changeTo(webhook, 'disabled');
  expect(await line.webhooks.get(webhook.id)).toMatchObject({ status: 'enabled' });
  expect(await waiting(webhook)).toBe(1);
});
