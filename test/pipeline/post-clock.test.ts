/** By which clock a POST is signed, over a real Redis and real sockets. */
import { Webhook } from 'standardwebhooks';
import { expect, it } from 'vitest';
import { openConsumer } from '../support/consumer.ts';
import { day, openPosting } from '../support/posting.ts';
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
