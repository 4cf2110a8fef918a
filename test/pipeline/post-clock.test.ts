/** What a wrong clock of Redis does to POSTs, over a real Redis and real sockets. */
import { Webhook } from 'standardwebhooks';
import { expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { openConsumer } from '../support/consumer.ts';
import { day, minute, openPosting, second } from '../support/posting.ts';
import { openTestRedis } from '../support/redis.ts';

it('a POST is accepted although the clock of Redis is wrong by days: the clock of the machine signs it', async () => {
  await using server = await openTestRedis();
  await using line = await openPosting(server);
  line.pass(8 * day);
  await using consumer = await openConsumer(() => ({ status: 204 }));
  const { secret } = await line.addWebhook({ endpoint: consumer.url });
  await line.emit(1);
  await line.notifyAll();
  await line.forwardAll();
  const [call] = consumer.calls;
  // It takes nothing that is older, or comes from later, than five minutes.
  expect(() => new Webhook(secret).verify(call?.body ?? '', call?.headers as never)).not.toThrow();
});

it('posts that were tried while the clock was days ahead go out once it is right again', async () => {
  await using server = await openTestRedis();
  await using line = await openPosting(server);
  let isDown = true;
  await using consumer = await openConsumer(() =>
    isDown ? { status: 503, headers: { 'retry-after': '600' } } : { status: 204 },
  );
  const { id } = await line.addWebhook({ endpoint: consumer.url });
  line.pass(3 * day);
  const ids = await line.emit(3);
  await line.notifyAll();
  await line.forwardAll();
  line.pass(-3 * day);
  isDown = false;
  await line.forwardAll();
  expect(consumer.ids().slice(-3).toSorted()).toEqual(ids.toSorted());
  expect(await line.redis.exists(keys.posts(id), keys.postsDue)).toBe(0);
});

it('an endpoint that rests since the clock was minutes ahead receives new events', async () => {
  await using server = await openTestRedis();
  await using line = await openPosting(server);
  let isDown = true;
  await using consumer = await openConsumer(() => ({ status: isDown ? 500 : 204 }));
  await line.addWebhook({ endpoint: consumer.url });
  line.pass(10 * minute);
  await line.emit(6);
  await line.notifyAll();
  await line.forwardAll();
  line.pass(-10 * minute);
  isDown = false;
  const [fresh] = await line.emit(1);
  await line.notifyAll();
  await line.forwardAll();
  expect(consumer.ids().at(-1)).toBe(fresh);
  isDown = true;
  await line.emit(7);
  await line.notifyAll();
  await line.forwardAll();
  const before = consumer.calls.length;
  line.pass(second / 2);
  await line.emit(1);
  await line.notifyAll();
  await line.forwardAll();
  expect(consumer.calls).toHaveLength(before);
});
