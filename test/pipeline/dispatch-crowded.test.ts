/** dispatch to a server that takes fewer connections than we would open: no trouble of its transport, which keeps to as many as it takes. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { SmtpTransportOptions } from '../../src/outbound/smtp-transport.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';
import { failover, fleetOf, openTestWorker, planTo } from '../support/worker.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
beforeAll(async () => {
  redis = opened.use(await openTestRedis()).connect();
});
afterAll(() => opened.disposeAsync());
beforeEach(() => redis.flushall());

const { stateOf } = fleetOf(() => redis);

async function openWorker(port: number, name = 'w1', options: SmtpTransportOptions = {}) {
  const worker = openTestWorker(redis, planTo({ one: { port } }, { default: failover('one') }), name, options);
  await worker.tend();
  return worker;
}

it('an opening that fails is one fault, however many waited for it', async () => {
  const held = Promise.withResolvers<'drop'>();
  await using server = await openScriptedSmtp((stage) => (stage === 'connect' ? held.promise : undefined));
  await using worker = await openWorker(server.port);
  const sending = Array.from({ length: 10 }, () => worker.send());
  await until('all to wait', () => worker.transports.get('one')?.pool.waiting === 10);
  held.resolve('drop');
  const outcomes = (await Promise.all(sending)).map(({ outcome }) => outcome.kind);
  expect(outcomes).toEqual(Array(10).fill('transport_fault'));
  expect((await stateOf('one'))?.breaker).toEqual({ kind: 'closed', faults: 1 });
});
