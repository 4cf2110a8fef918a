/** find-permits: whatever a released email comes to, the permit it has not used is free again, with what it took of a quota. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { bindDispatch } from '../../src/app-dispatch.ts';
import { makeSemaphore } from '../../src/concurrency/semaphore.ts';
import { acceptEmail, type StoredEmail } from '../../src/domain/email.ts';
import { makeSuppression } from '../../src/domain/suppression.ts';
import { openTransports } from '../../src/outbound/transports.ts';
import { attempt } from '../../src/pipeline/attempt.ts';
import { callOff } from '../../src/pipeline/call-off.ts';
import { deliver } from '../../src/pipeline/deliver.ts';
import type { Dispatched, Outgoing } from '../../src/pipeline/dispatch.ts';
import { findPermits } from '../../src/pipeline/find-permits.ts';
import { settle, settleChange } from '../../src/pipeline/settle.ts';
import { suppress } from '../../src/pipeline/suppress.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, moveCampaign } from '../support/campaigns.ts';
import { emailRequest } from '../support/requests.ts';
import { openTransport } from '../support/smtp-transport.ts';
import { newId, storeOver, type TestStore } from '../support/store.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, planTo } from '../support/worker.ts';

let redis: Redis;
let store: TestStore['store'];
useTestRedis(async (server) => {
  redis = server.connect();
  store = await storeOver(redis);
});

/** Two permits at a time. */
const rates = [{ count: 60, windowMs: 3_600_000 }];
const plan = planTo({ one: { port: 1, rates }, two: { port: 1 } }, { default: failover('two', 'one') });
const endsAt = Date.now() + 3_600_000;
const policy = { scheduleMs: [60_000], maxAgeMs: 3_600_000 };
const policies = { transactional: policy, bulk: policy };

async function accept(campaignId: string | null, more: object): Promise<string> {
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't', ...more });
  const accepted = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
  const email = { ...accepted, facts: { ...accepted.facts, campaignId } };
  await store.emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  await redis.zrem(keys.due('transactional'), email.facts.id);
  return email.facts.id;
}

const settling = () => ({ emails: store.emails, policies, report: () => {}, newId, now: Date.now, rand: () => 0 });
const cancel = async (id: string) =>
  settleChange(settling(), (await store.emails.read(id)) as StoredEmail, { kind: 'canceled' });

/** What is due, taken by a worker with this clock. */
async function work(dispatch: (outgoing: Outgoing) => Promise<Dispatched>, now: () => number): Promise<void> {
  const { ids } = await store.due.take('transactional', newId('jb'), 1_000, 100, now());
  const nothing = async () => null;
  const fleet = { transports: { plan }, known: new Map(), budgets: store.budgets };
  const deps = {
    ...{ emails: store.emails, due: store.due, campaigns: store.campaigns, queue: { isLive: async () => false } },
    ...{
      lane: 'transactional' as const,
      inHand: makeSemaphore(50),
      line: makeSemaphore(1),
      room: makeSemaphore(1_000),
    },
    ...{ handedOver: new Set<string>(), stopping: new AbortController().signal, newId, dispatch, now },
    findPermits: findPermits.bind(null, { ...fleet, now }),
    suppress: suppress.bind(null, store),
    missingFile: () => null,
    gatherFiles: async () => new Map(),
    fetchFile: async () => {},
    compose: async () => Buffer.from('t'),
    explainExpiry: nothing,
    settle: settle.bind(null, settling()),
    callOff: callOff.bind(null, { ...store, change: settleChange.bind(null, settling()) }),
    onTrouble(_: string, error: unknown) {
      throw error;
    },
  };
  if (ids.length > 0) await deliver({ ...deps, attempt: attempt.bind(null, deps) }, { id: newId('jb'), emails: ids });
}

const sentByOther = async (): Promise<Dispatched> => ({ kind: 'answered', transport: 'two', replies: [] });
const parkedByOther = async (): Promise<Dispatched> => ({ kind: 'parked' });

type Given = {
  readonly of?: 'running' | 'paused' | 'canceled';
  readonly meanwhile?: (ids: readonly string[]) => Promise<unknown>;
  readonly dispatch?: () => Promise<Dispatched>;
  readonly more?: object;
  readonly laterMs?: number;
};

it.each<[string, Given]>([
  ['goes over another transport', { dispatch: sentByOther }],
  ['is parked for another transport', { dispatch: parkedByOther }],
  ['is withheld', { dispatch: async () => ({ kind: 'withheld' }) }],
  ['is of a paused campaign', { of: 'paused' }],
  ['is of a canceled campaign', { of: 'canceled' }],
  [
    'is for a suppressed address',
    {
      meanwhile: () =>
        store.suppressions.add([makeSuppression({ email: 'b@x.co', scope: 'all', reason: 'manual' }, newId('sp'))]),
    },
  ],
  ['is canceled before a worker takes it', { meanwhile: (ids) => Promise.all(ids.map(cancel)) }],
  ['has expired', { more: { ttl: 1 }, laterMs: 2_000 }],
  ['is gone', { meanwhile: (ids) => redis.del(...ids.map(keys.email)) }],
])('an email that %s holds up nobody', async (_, { of, meanwhile, dispatch = sentByOther, more = {}, laterMs = 0 }) => {
  const campaign = of === undefined ? null : await addCampaign(redis, { recipients: 1 });
  const ids = await Promise.all([0, 1].map(() => accept(campaign, more)));
  if (campaign !== null && of !== undefined) await moveCampaign(redis, campaign, of);
  const now = () => Date.now() + laterMs;
  const parked = [...ids, 'next'].map((id, n) => ({ id, lane: 'transactional', dueAt: n, endsAt }) as const);
  await store.budgets.park('one', parked, now());
  const left = async () => (await store.budgets.left('one', rates, now()))[0]?.remaining;
  expect(await store.budgets.release('one', rates, {}, now())).toMatchObject({ released: 2, left: 1 });
  expect(await store.budgets.release('one', rates, {}, now())).toMatchObject({ released: 0, left: 1 });
  expect(await left()).toBe(58);
  await meanwhile?.(ids);
  await work(dispatch, now);
  expect(await left()).toBe(60);
  expect(await store.budgets.release('one', rates, {}, now())).toMatchObject({ released: 1, left: 0 });
});

it('an email that comes to a worker without a connection keeps its permit, and is due again for another worker', async () => {
  const only = planTo({ one: { port: 1, rates } }, { default: failover('one') });
  await using transports = openTransports(only, openTransport, []);
  transports.get('one')?.allow(0);
  const fleet = { ...store, transports, known: new Map(), hanging: new Set<string>() };
  const terms = { policies, inBackground: () => {}, wake: () => {}, onTrouble: () => {}, newId, now: Date.now };
  const dispatch = bindDispatch({ ...fleet, states: store.transportStates }, terms);
  const parked = [await accept(null, {}), await accept(null, {})].map(
    (id, n) => ({ id, lane: 'transactional', dueAt: n, endsAt }) as const,
  );
  const ids = parked.map(({ id }) => id);
  await store.budgets.park('one', parked, Date.now());
  await store.budgets.release('one', rates, { max: 1 }, Date.now());
  for (const hop of [1, 2]) {
    const soon = Date.now() + hop * 1_000;
    await work(dispatch, () => soon);
    expect((await store.budgets.permits(['one'], ids)).map(({ id }) => id)).toEqual(ids.slice(0, 1));
    expect(await store.budgets.left('one', rates, soon)).toMatchObject([{ remaining: 59 }]);
    expect(await store.due.at('transactional', ids[0] ?? '')).toBeLessThan(soon + 1_000);
  }
});

it('an email that no worker with a connection takes is passed on more and more seldom, until its permit lapses', async () => {
  const due = { id: 'em_a', lane: 'transactional', dueAt: 0, endsAt } as const;
  const releasedAt = Date.now();
  await store.budgets.park('one', [due], releasedAt);
  await store.budgets.release('one', rates, {}, releasedAt);
  const hops: number[] = [];
  for (let at = releasedAt; await store.budgets.passOn('one', due, at); hops.push(at - releasedAt))
    at = Number(await store.due.at('transactional', 'em_a'));
  expect(hops.filter((ms) => ms <= 500)).toHaveLength(20);
  expect(hops.length).toBeLessThan(130);
  expect(hops.at(-1)).toBeGreaterThan(55_000);
});
