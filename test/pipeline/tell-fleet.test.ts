/** tell-fleet: what one worker learns of a server, all of them go by. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { failover, fleetOf, openTestWorker, planTo } from '../support/worker.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let smtp: ScriptedSmtp;
let isTooMuch = false;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  smtp = opened.use(
    await openScriptedSmtp((stage) => (stage === 'MAIL' && isTooMuch ? '421 4.7.0 Slow down' : undefined)),
  );
});
afterAll(() => opened.disposeAsync());

const { stateOf } = fleetOf(() => redis);

it('a server that asks for less is slowed down by how long its messages took', async () => {
  await using worker = openTestWorker(redis, planTo({ one: { port: smtp.port } }, { default: failover('one') }));
  await worker.tend();
  for (let count = 0; count < 3; count++) await worker.send();
  const messageMs = worker.transports.get('one')?.pool.messageMs;
  expect(messageMs).toBeGreaterThan(0);
  isTooMuch = true;
  await worker.send();
  await worker.told();
  expect(await stateOf('one')).toMatchObject({ brake: { factor: 0.5, messageMs } });
});
