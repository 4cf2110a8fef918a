/** What the dev inbox keeps: the newest mail, within its bounds. */
import { expect, it } from 'vitest';
import { openInbox } from '../../src/store/inbox.ts';
import { keys } from '../../src/store/keys.ts';
import { openTestRedis } from '../support/redis.ts';

it('keeps the newest mail within its bounds of number and bytes, and at least one', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const inbox = openInbox(redis, { count: 3, bytes: 1_000 });
  const envelope = { from: 'a@example.com', to: ['b@example.org'] };
  const add = (id: string, size: number) =>
    inbox.add({ id, at: 1, emailId: 'em_1', envelope, raw: Buffer.alloc(size, 0xff) });
  const kept = async () => (await inbox.list()).map(({ id }) => id);

  for (const id of ['mi_1', 'mi_2', 'mi_3', 'mi_4']) await add(id, 10);
  expect(await kept()).toEqual(['mi_4', 'mi_3', 'mi_2']);
  expect(await inbox.get('mi_1')).toBeNull();
  await add('mi_5', 985);
  expect(await kept()).toEqual(['mi_5', 'mi_4']);
  await add('mi_6', 5_000);
  expect(await kept()).toEqual(['mi_6']);
  expect((await inbox.get('mi_6'))?.raw).toEqual(Buffer.alloc(5_000, 0xff));
  expect(await redis.get(keys.inboxBytes)).toBe('5000');
  expect([await redis.hlen(keys.inboxRaw), await redis.hlen(keys.inboxEntries)]).toEqual([1, 1]);
});
