/** admit: the one message that tries a transport whose messages met trouble, and what is left as it was when a message is not that one. */
import type { Redis } from 'ioredis';
import { beforeEach, expect, it } from 'vitest';
import { closedBreaker } from '../../src/domain/transport-state.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo, type TestWorker } from '../support/worker.ts';

let redis: Redis;
let smtp: ScriptedSmtp;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  smtp = opened.use(await openScriptedSmtp());
});

const { states, event, stateOf, parkedFor } = fleetOf(() => redis);
const rates = [{ count: 2, windowMs: 3_600_000 }];
const over = (transport: string) => ({ outcome: { kind: 'answered', transport } });
const breakerOf = ({ known }: TestWorker) => known.get('one')?.breaker;

/** A worker that knows that the first of two transports may be tried by a message. */
async function openWorker(name: string): Promise<TestWorker> {
  const servers = { one: { port: smtp.port, rates }, two: { port: smtp.port } };
  const worker = openTestWorker(redis, planTo(servers, { default: failover('one', 'two') }), name);
  await worker.tend();
  return worker;
}

beforeEach(async () => {
  await states().fault('one', { cause: 'login', reason: '535 5.7.8 no', byMessage: true }, event());
  await states().success('one', 'probe', event());
});

it('an email that is not the first gives its token back, learns the state of the transport, and goes over the next one', async () => {
  await using first = await openWorker('w1');
  await using second = await openWorker('w2');
  for (const name of ['one', 'two']) second.transports.get(name)?.allow(1);
  expect(await first.send()).toMatchObject(over('one'));
  await first.told();
  expect(breakerOf(second)).toMatchObject({ trial: 'open' });
  expect(await second.send()).toMatchObject(over('two'));
  expect(await openBudgets(redis).left('one', rates, Date.now())).toMatchObject([{ remaining: 1 }]);
  expect(breakerOf(second)).toEqual(closedBreaker);
});

it('an email without a token for the trial goes over the next one, and leaves nothing that waits', async () => {
  await using worker = await openWorker('w1');
  const budgets = openBudgets(redis);
  const others = ['a', 'b'].map((id) => ({ id, lane: 'transactional', dueAt: 1, endsAt: 9 }) as const);
  await budgets.admit('one', rates, others, Date.now());
  expect(await worker.send()).toMatchObject(over('two'));
  expect(await redis.exists(keys.again('transactional'), keys.parkedFor)).toBe(0);
});

it('no message tries a transport that has no connection for it', async () => {
  await using worker = await openWorker('w1');
  worker.transports.get('one')?.allow(0);
  expect(await worker.send()).toMatchObject(over('two'));
  expect(await stateOf('one')).toMatchObject({ breaker: { trial: 'open' } });
  expect(await parkedFor('one')).toEqual({ transactional: 0, bulk: 0 });
});

it('a message that is not sent after all leaves the trial to the next, also of this worker', async () => {
  await using worker = await openWorker('w1');
  const withheld = { kind: 'withheld' } as const;
  expect((await worker.send({}, undefined, { message: async () => withheld })).outcome).toEqual(withheld);
  expect(breakerOf(worker)).toMatchObject({ kind: 'open', trial: 'open' });
  expect(await worker.send()).toMatchObject(over('one'));
});
