/** dispatch: a login that a server wants for one message alone does not take its transport out of service again and again. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { closedBreaker } from '../../src/domain/transport-state.ts';
import { recipient, storedEmail } from '../support/requests.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo } from '../support/worker.ts';

const reason = '530 5.7.0 Login first';
let redis: Redis;
let smtp: ScriptedSmtp;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  smtp = opened.use(
    await openScriptedSmtp((stage, line) => (stage === 'RCPT' && line.includes('poison') ? reason : undefined)),
  );
});

const { stateOf, states, event } = fleetOf(() => redis);
const breaker = async () => (await stateOf('one'))?.breaker ?? closedBreaker;
const poison = (more: object) => storedEmail([recipient('poison@x.co', more)], { state: { since: Date.now() } });

it('one that was refused before, and comes again after others went, leaves its transport in service', async () => {
  await using worker = openTestWorker(redis, planTo({ one: { port: smtp.port } }, { default: failover('one') }));
  await worker.tend();
  const send = async (email: ReturnType<typeof poison>) => {
    const to = email.state.recipients.map(({ address }) => address);
    const raw = Buffer.from('Subject: s\r\n\r\nHello');
    const message = async () => ({ emailId: 'em_1', envelope: { from: 'a@x.co', to }, raw });
    const { outcome } = await worker.send({}, undefined, { email, message });
    await worker.told();
    return outcome;
  };
  const goes = () => worker.send().then(() => worker.told());
  expect(await send(poison({}))).toMatchObject({ kind: 'answered', replies: [{ smtp: { code: 530 } }] });
  expect(await breaker()).toMatchObject({ kind: 'open', cause: 'login', trial: 'needed' });
  await states().success('one', 'probe', event());
  await worker.tend();
  await goes();
  expect(await breaker()).toEqual(closedBreaker);
  await worker.tend();
  expect(await send(poison({ transport: 'one', reason }))).toMatchObject({ kind: 'answered', isOwn: true });
  expect(await breaker()).toEqual(closedBreaker);
  expect(await send(poison({}))).toMatchObject({ kind: 'answered' });
  expect(await breaker()).toMatchObject({ kind: 'open', cause: 'login' });
});
