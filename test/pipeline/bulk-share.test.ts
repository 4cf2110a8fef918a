/** What bulk has of a transport while transactional mail and campaigns take all they can. */
import type { Redis } from 'ioredis';
import { expect, it, vi } from 'vitest';
import type { Lane } from '../../src/domain/lane.ts';
import type { Transport } from '../../src/outbound/transport.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { openDue } from '../../src/store/due.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, newId, openTestWorker, planTo } from '../support/worker.ts';

let redis: Redis;
let smtp: ScriptedSmtp;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  smtp = opened.use(await openScriptedSmtp());
});

const plan = (more: object = {}) => planTo({ one: { port: smtp.port, ...more } }, { default: failover('one') });

async function park(lane: Lane, ...ids: string[]): Promise<void> {
  const emails = ids.map((id, n) => ({ id, lane, dueAt: n + 1, endsAt: Date.now() + 3_600_000 }));
  await openBudgets(redis).park('one', emails, Date.now());
}

/** What is due now, and so was let go. */
async function letGo(lane: Lane): Promise<string[]> {
  return (await openDue(redis).take(lane, newId('jb'), 1_000, 1_000, Date.now() + 1)).ids.toSorted();
}

it.each([
  ['without a rate', {}],
  ['by a rate', { rates: [{ count: 100, windowMs: 1_000 }] }],
])(
  'parked bulk mail is released up to its share, %s, while transactional mail and campaigns take all there is',
  async (_, settings) => {
    await using worker = openTestWorker(redis, plan(settings));
    const pool = {
      open: 1,
      busy: 1,
      waiting: 30,
      waitingBulk: 0,
      isStuck: false,
      isHanging: false,
      acceptedMs: null,
      refusals: 0,
    };
    const room = { transactional: 0, bulk: 2, campaign: 0 };
    vi.spyOn(worker.transports.get('one') as Transport, 'pool', 'get').mockReturnValue({ ...pool, room });
    await park('transactional', 'a');
    await park('bulk', 'd', 'e', 'f');
    await worker.tend();
    expect([await letGo('transactional'), await letGo('bulk')]).toEqual([[], ['d', 'e']]);
  },
);

it.each([
  ['of transactional mail', { transactional: 0, bulk: 1, campaign: 1 }, ['parked', 'answered', 'answered']],
  ['of a campaign', { transactional: 1, bulk: 1, campaign: 0 }, ['answered', 'answered', 'kept']],
  ['of other bulk', { transactional: 1, bulk: 0, campaign: 1 }, ['answered', 'parked', 'answered']],
])('a worker parks mail without room, and keeps campaign recipients at their places: %s', async (_, room, kinds) => {
  await using worker = openTestWorker(redis, plan());
  await worker.tend();
  const one = worker.transports.get('one') as Transport;
  const { pool } = one;
  vi.spyOn(one, 'pool', 'get').mockReturnValue({ ...pool, room });
  const sent = [
    await worker.send(),
    await worker.send({ lane: 'bulk' }),
    await worker.send({ lane: 'bulk' }, async () => true, { isOfCampaign: true }),
  ];
  expect(sent.map(({ outcome }) => outcome.kind)).toEqual(kinds);
});

it.each([
  ['transactional', 'transactional', false],
  ['bulk', 'bulk', false],
  ['campaign', 'bulk', true],
] as const)('mail waits for a connection in its own line: %s', async (line, lane, isOfCampaign) => {
  await using worker = openTestWorker(redis, plan());
  await worker.tend();
  const sending = vi.spyOn(worker.transports.get('one') as Transport, 'send');
  await worker.send({ lane }, async () => true, { isOfCampaign });
  expect(sending.mock.calls.map(([, , turn]) => turn.line)).toEqual([line]);
});
