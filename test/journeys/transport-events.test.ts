/** What befalls a transport is told like what becomes of an email: signed, at the webhooks that asked for it and at no other. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TransportEvent } from '../../src/domain/event.ts';
import { makeId } from '../../src/domain/id.ts';
import { keys } from '../../src/store/keys.ts';
import { packPlainEvent } from '../../src/store/record.ts';
import { startPostrider } from '../support/postrider.ts';
import { type Hook, openReceiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let redis: Redis;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  redis = server.connect();
});
afterAll(() => opened.disposeAsync());

function eventOf(type: TransportEvent['type'], more: Pick<TransportEvent, 'reason' | 'cause'>): TransportEvent {
  const id = `ev_${makeId('rq', Date.now(), randomBytes(10)).slice('rq_'.length)}`;
  return { id, type, at: Date.parse('2026-11-24T09:30:00Z'), transport: 'ses', ...more };
}

const bodyOf = (hook: Hook, secret: string) =>
  new Webhook(secret).verify(hook.body, hook.headers as Record<string, string>);

it('a transport event arrives signed at the endpoints that asked for it, and nowhere else', async () => {
  await using operators = await openReceiver();
  await using shop = await openReceiver();
  const degraded = eventOf('transport.degraded', { reason: 'ECONNREFUSED', cause: 'connect' });
  const recovered = eventOf('transport.recovered', { reason: null, cause: null });
  let secret: string;
  {
    await using postrider = await startPostrider({ REDIS_URL: server.url, WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true' });
    const subscribe = async (endpoint: string, events: readonly string[]) => {
      const { status, body } = await postrider.api('POST', '/v1/webhooks', { endpoint, events });
      expect(status).toBe(201);
      return body.signing_secret;
    };
    secret = await subscribe(operators.url, ['transport.degraded', 'transport.recovered']);
    await subscribe(shop.url, ['email.sent', 'email.bounced']);
    for (const event of [degraded, recovered]) await redis.xadd(keys.outbox, '*', 'event', packPlainEvent(event));
    const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
    await postrider.api('POST', '/v1/emails', email);
    await until('all webhooks', () => operators.hooks.length >= 2 && shop.hooks.length >= 1);
    // Whatever else is under way is finished first.
    postrider.kill('SIGTERM');
    await postrider.ended;
  }
  const told = operators.hooks.toSorted((a, b) => (a.event.type < b.event.type ? -1 : 1));
  expect(told.map(({ headers }) => headers['webhook-id'])).toEqual([degraded.id, recovered.id]);
  const time = '2026-11-24T09:30:00.000Z';
  expect(told.map((hook) => bodyOf(hook, secret))).toEqual([
    {
      type: 'transport.degraded',
      timestamp: time,
      created_at: time,
      data: { transport: 'ses', reason: 'ECONNREFUSED', cause: 'connect' },
    },
    {
      type: 'transport.recovered',
      timestamp: time,
      created_at: time,
      data: { transport: 'ses', reason: null, cause: null },
    },
  ]);
  expect(shop.hooks.map(({ event }) => event.type)).toEqual(['email.sent']);
});
