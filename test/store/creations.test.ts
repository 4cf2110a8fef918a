/** What is stored under an Idempotency-Key is noted in the same step: no repeat brings it back that was taken away, nor undoes its changes. */
import { describe, expect, it } from 'vitest';
import { adminKey, hashToken } from '../../src/domain/api-key.ts';
import { makeCampaignId } from '../../src/domain/id.ts';
import { makeWebhook, webhookRequest } from '../../src/domain/webhook.ts';
import { webhookSecret } from '../../src/domain/webhook-signature.ts';
import type { Creation, CreationMark } from '../../src/store/creations.ts';
import { draft } from '../support/campaign-drafts.ts';
import { newId, storeOver, type TestStore } from '../support/store.ts';
import { contentOf } from '../support/templates.ts';
import { useTestRedis } from '../support/use-redis.ts';

let store: TestStore['store'];
useTestRedis(async (server) => {
  store = await storeOver(server.connect());
});

type Kind = {
  readonly what: string;
  newId(): string;
  add(id: string, mark: CreationMark | null): Promise<unknown>;
  remove(id: string): Promise<unknown>;
  find(id: string): Promise<unknown>;
};

const endpoint = webhookRequest.parse({ endpoint: 'https://app.example.com/hooks', events: ['email.sent'] });
const webhookOf = (id: string) =>
  makeWebhook(endpoint, { id, createdAt: 1, secret: webhookSecret(Buffer.alloc(32, 1)) });
const headOf = (id: string) => ({ id, name: 'n', alias: null, createdAt: 1, updatedAt: 1, version: 1 });

const kinds: readonly Kind[] = [
  {
    what: 'an API key',
    newId: () => newId('ak'),
    add: (id, mark) => store.apiKeys.add({ ...adminKey, id, name: 'shop' }, hashToken(id), mark),
    remove: (id) => store.apiKeys.revoke(id),
    find: (id) => store.apiKeys.find(hashToken(id), 0),
  },
  {
    what: 'a webhook',
    newId: () => newId('wh'),
    add: (id, mark) => store.webhooks.add(webhookOf(id), mark),
    remove: (id) => store.webhooks.remove(id),
    find: (id) => store.webhooks.get(id),
  },
  {
    what: 'a template',
    newId: () => newId('tp'),
    add: (id, mark) => store.templates.add({ head: headOf(id), content: contentOf({ text: 't' }) }, mark),
    remove: (id) => store.templates.remove(id),
    find: (id) => store.templates.find(id),
  },
  {
    what: 'a campaign',
    newId: () => makeCampaignId(Date.now(), Buffer.alloc(10, 1)),
    add: (id, mark) => store.campaigns.add(draft({ id }), mark),
    remove: (id) => store.campaigns.remove(id),
    find: (id) => store.campaigns.get(id),
  },
];

async function begin(id: string, scope: string): Promise<Creation> {
  const creation = await store.creations.begin({ scope, bodyHash: 'hash' }, { id, now: 1 });
  return creation ?? expect.fail('another body');
}

describe.each(kinds)('$what', ({ what, ...kind }) => {
  it('whose process died once it was stored counts as done', async () => {
    const { id, mark } = await begin(kind.newId(), `${what} died`);
    await kind.add(id, mark);
    expect(await begin(kind.newId(), `${what} died`)).toMatchObject({ id, isRepeat: true, isDone: true });
  });

  it('that is taken away does not come back by a repeat that began before it was stored', async () => {
    const scope = `${what} raced`;
    const first = await begin(kind.newId(), scope);
    const repeat = await begin(kind.newId(), scope);
    expect(repeat).toMatchObject({ id: first.id, isDone: false });
    await kind.add(first.id, first.mark);
    expect(await kind.find(first.id)).not.toBeNull();
    await kind.remove(first.id);
    await kind.add(repeat.id, repeat.mark);
    expect(await kind.find(first.id)).toBeNull();
  });

  it('that was asked for without a key is stored', async () => {
    const id = kind.newId();
    await kind.add(id, null);
    expect(await kind.find(id)).not.toBeNull();
  });
});

it('a webhook that was changed stays so', async () => {
  const [first, repeat] = [await begin(newId('wh'), 'changed'), await begin(newId('wh'), 'changed')];
  await store.webhooks.add(webhookOf(first.id), first.mark);
  await store.webhooks.change(first.id, (was) => ({ webhook: { ...was, status: 'disabled' } }));
  await store.webhooks.add(webhookOf(repeat.id), repeat.mark);
  expect(await store.webhooks.get(first.id)).toMatchObject({ status: 'disabled' });
});

it('a webhook whose secret was rotated stays as others rotated it since, whenever a repeat comes', async () => {
  const webhook = webhookOf(newId('wh'));
  await store.webhooks.add(webhook);
  const [first, repeat] = [await begin(newId('wh'), 'rotated'), await begin(newId('wh'), 'rotated')];
  const rotate = (secret: string, { mark }: { mark: CreationMark | null }) =>
    store.webhooks.change(webhook.id, (was) => ({ webhook: { ...was, secret }, once: mark && { mark, note: '7' } }));
  await rotate('a', first);
  await rotate('b', { mark: null });
  expect(await rotate('a', repeat)).toMatchObject({ secret: 'b' });
  expect(await store.webhooks.get(webhook.id)).toMatchObject({ secret: 'b', revision: 2 });
  // What the repeat read of it may have been changed by then.
  expect(await store.creations.end({ scope: 'rotated', bodyHash: 'hash' }, repeat, '8')).toBe('7');
  expect(await begin(newId('wh'), 'rotated')).toMatchObject({ isDone: true, note: '7' });
});
