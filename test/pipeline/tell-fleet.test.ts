/** tell-fleet: what one worker learns of a server, all of them go by. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo } from '../support/worker.ts';

let redis: Redis;
let smtp: ScriptedSmtp;
let isTooMuch = false;
/** While it has one, a reply waits for it. */
let held: Promise<void> | null = null;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  smtp = opened.use(
    await openScriptedSmtp(async (stage) => {
      if (stage !== 'MAIL' || !isTooMuch) return undefined;
      await held;
      return '421 4.7.0 Slow down';
    }),
  );
});

const { stateOf } = fleetOf(() => redis);

const countOf = ({ lines }: ScriptedSmtp) => lines.filter((line) => line.startsWith('MAIL')).length;

it('a server that asks for less is slowed down by how long its messages took', async () => {
  await using worker = openTestWorker(redis, planTo({ one: { port: smtp.port } }, { default: failover('one') }));
  await worker.tend();
  for (let count = 0; count < 3; count++) await worker.send();
  const messageMs = worker.transports.get('one')?.pool.acceptedMs;
  expect(messageMs).toBeGreaterThan(0);
  isTooMuch = true;
  await worker.send();
  await worker.told();
  expect(await stateOf('one')).toMatchObject({ brake: { factor: 0.5, messageMs } });
});

it('a server that asks for less after another took its place slows down nothing', async () => {
  await using other = await openScriptedSmtp();
  const planOf = (port: number) => planTo({ moved: { port } }, { default: failover('moved') });
  await using worker = openTestWorker(redis, planOf(smtp.port));
  await worker.tend();
  isTooMuch = true;
  const reply = Promise.withResolvers<void>();
  held = reply.promise;
  const asked = countOf(smtp);
  const sending = worker.send();
  await until('the message to reach the server', () => countOf(smtp) > asked);
  worker.transports.update(planOf(other.port));
  reply.resolve();
  await sending;
  await worker.told();
  expect(await stateOf('moved')).toMatchObject({ brake: null });
});
