/** A campaign over several transports: who needs one that is limited waits for it, is told so, and keeps nobody else waiting. */
import { expect, it } from 'vitest';
import { placeId } from '../../src/domain/id.ts';
import { drawOf } from '../../src/domain/transport-plan.ts';
import { addCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { makeGate } from '../support/gate.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { arrivals, openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const count = 1_000;
const failover = (...names: string[]) => ({ failover: names });
const weighted = { default: { weighted: { a: 1, b: 3 } }, only: failover('a') };
const plain = (n: number) => `r${n}@example.com`;

const add = (world: World, address = plain) =>
  addCampaign(world.redis, {
    recipients: Array.from({ length: count }, (_, n) => ({ address: address(n), variables: {} })),
  });

/** The ids of the emails that a weighted route sends by `a`, the lighter one of four. */
const drawnTo = (transport: 'a' | 'b', id: string) =>
  Array.from({ length: count }, (_, n) => placeId(id, n)).filter((one) => drawOf(one) < 0.75 === (transport === 'b'));

const explain = async (world: World, email: string) => (await world.api.api('GET', `/v1/emails/${email}/explain`)).body;
const campaignOf = async (world: World, id: string) => (await world.api.api('GET', `/v1/campaigns/${id}`)).body;

/** Waits until as many as these are settled, and the ledger is right in between. */
async function settles(world: World, id: string, least: number) {
  const look = () => standingOf(world.redis, id);
  await until(
    `${least} to be settled`,
    async () => {
      const { counts } = await look();
      expect(counts.sent + counts.pending).toBe(count);
      return counts.sent >= least;
    },
    async () => (await look()).counts,
  );
}

/** All are sent, each once. */
async function completes(world: World, id: string, ...servers: readonly ScriptedSmtp[]) {
  await settles(world, id, count);
  expect((await standingOf(world.redis, id)).status).toBe('completed');
  expect(await tallyOf(world.redis, id)).toMatchObject({ sent: count, pending: 0 });
  const came = arrivals(...servers).filter((email) => email.startsWith(placeId(id, 0).slice(0, 20)));
  expect([came.length, new Set(came).size]).toEqual([count, count]);
}

it('the quota of one transport of a weighted route is used up: the others go on', async () => {
  await using a = await openScriptedSmtp();
  await using b = await openScriptedSmtp();
  const limited = {
    transports: { a: transportAt(a.port, { quota: '1/d' }), b: transportAt(b.port) },
    routes: weighted,
  };
  await using world = await openWorld(limited);
  await world.startWorker();
  await world.becomes(await world.send({ route: 'only' }), 'sent');
  const id = await add(world);
  const [ofA, ofB] = [drawnTo('a', id), drawnTo('b', id)];
  await settles(world, id, ofB.length);
  expect(arrivals(b).toSorted()).toEqual(ofB.toSorted());
  expect(a.bodies).toHaveLength(1);
  // Who waits keeps its place: a record of its own takes a hundred times as much of Redis.
  const { marks } = await standingOf(world.redis, id);
  expect(marks.filter((mark) => mark === 'left')).toEqual([]);

  const why = await explain(world, ofA[0] ?? '');
  expect(why).toMatchObject({
    reason: 'waiting_for_budget',
    summary: expect.stringContaining('Transport a may send 1 per day'),
  });
  expect(Date.parse(why.moves_at)).toBeGreaterThan(Date.now());
  expect(await campaignOf(world, id)).toMatchObject({
    waits_for: [{ transport: 'a', reason: 'waiting_for_budget', moves_at: why.moves_at }],
  });

  await world.write({ ...limited, transports: { a: transportAt(a.port), b: transportAt(b.port) } });
  await completes(world, id, a, b);
  expect(a.bodies).toHaveLength(1 + ofA.length);
  expect(await campaignOf(world, id)).toMatchObject({ status: 'completed', waits_for: [] });
});

it('one transport of a weighted route has a low rate: the others do not wait for it', async () => {
  await using a = await openScriptedSmtp();
  await using b = await openScriptedSmtp();
  const limited = { transports: { a: transportAt(a.port, { rate: '1/m' }), b: transportAt(b.port) }, routes: weighted };
  await using world = await openWorld(limited);
  await world.startWorker();
  const id = await add(world);
  const ofB = drawnTo('b', id);
  await until('all of the other transport', () => b.bodies.length === ofB.length);
  await until('the first of the limited one', () => a.bodies.length > 0);
  await world.write({ ...limited, transports: { a: transportAt(a.port), b: transportAt(b.port) } });
  await completes(world, id, a, b);
});

it('one transport of a weighted route is slow: the others do not wait for it', async () => {
  const gate = makeGate();
  await using a = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
  await using b = await openScriptedSmtp();
  await using world = await openWorld({
    transports: { a: transportAt(a.port, { connections: 1 }), b: transportAt(b.port) },
    routes: weighted,
  });
  await world.startWorker();
  const id = await add(world);
  await until('all of the other transport', () => b.bodies.length === drawnTo('b', id).length);
  expect(gate.held).toHaveLength(1);
  gate.open();
  await completes(world, id, a, b);
});

it('the stand-in for addresses beyond ASCII has no quota left: all others go on', async () => {
  await using a = await openScriptedSmtp();
  await using b = await openScriptedSmtp(undefined, { extensions: ['PIPELINING', 'SMTPUTF8', '8BITMIME'] });
  const routes = { default: failover('a', 'b'), only: failover('b') };
  const limited = { transports: { a: transportAt(a.port), b: transportAt(b.port, { quota: '1/d' }) }, routes };
  await using world = await openWorld(limited);
  await world.startWorker();
  await world.becomes(await world.send({ route: 'only' }), 'sent');
  const isBeyond = (n: number) => n % 25 === 3;
  const id = await add(world, (n) => (isBeyond(n) ? `mü${n}@example.com` : plain(n)));
  await settles(world, id, count - count / 25);
  expect([a.bodies.length, b.bodies.length]).toEqual([count - count / 25, 1]);
  expect(await explain(world, placeId(id, 3))).toMatchObject({
    reason: 'waiting_for_budget',
    summary: expect.stringContaining('Transport b may send 1 per day'),
  });
  expect((await campaignOf(world, id)).waits_for).toMatchObject([{ transport: 'b', reason: 'waiting_for_budget' }]);
  await world.write({ ...limited, transports: { a: transportAt(a.port), b: transportAt(b.port) } });
  await completes(world, id, a, b);
});
