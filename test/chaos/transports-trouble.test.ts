/** Trouble of a transport's own: another takes over, or the mail waits and goes out by itself once it is over; it burns no attempt. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import type { Postrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { type Act, openScriptedSmtp, type ScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { arrivals, openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';
import { newId } from '../support/worker.ts';

const opened = new AsyncDisposableStack();
let good: ScriptedSmtp;
let bad: ScriptedSmtp;
let locked: ScriptedSmtp;
let down: ScriptedSmtp;
let picky: ScriptedSmtp;
let receiver: Receiver;
let world: World;
const workers: Postrider[] = [];

/** What the bad server does to an email, by the local part of its sender. */
const acts: Record<string, Partial<Record<Stage, Act>>> = {
  login: { MAIL: '530 5.7.0 Authentication required' },
  closing: { MAIL: '421 4.3.2 Service shutting down' },
  slow: { MAIL: '421 4.7.0 Too many messages, slow down' },
  within: { 'body begins': 'drop' },
  after: { body: 'drop' },
};
/** What it does is done once to each. */
const done = new Set<string>();

function misbehaving() {
  let sender = '';
  return openScriptedSmtp((stage, line) => {
    if (stage === 'MAIL') sender = /<(\w+)@/.exec(line)?.[1] ?? '';
    const act = acts[sender]?.[stage];
    if (act === undefined || done.has(sender)) return undefined;
    done.add(sender);
    return act;
  });
}

let isDown = true;
let isPicky = true;
const login = { methods: ['PLAIN'], user: 'u', pass: 'right' } as const;
const document = (pass: string) => ({
  transports: {
    good: transportAt(good.port),
    // One connection: its script goes by the sender of the present transaction.
    bad: transportAt(bad.port, { connections: 1 }),
    refused: transportAt(1),
    wrong: transportAt(locked.port, { auth: { user: 'u', pass: 'wrong' } }),
    locked: transportAt(locked.port, { auth: { user: 'u', pass } }),
    down: transportAt(down.port),
    picky: transportAt(picky.port, { connections: 1 }),
  },
  routes: {
    default: { failover: ['bad', 'good'] },
    refused: { failover: ['refused', 'wrong', 'good'] },
    locked: { failover: ['locked'] },
    down: { failover: ['down'] },
    picky: { failover: ['picky'] },
  },
});

beforeAll(async () => {
  good = opened.use(await openScriptedSmtp());
  bad = opened.use(await misbehaving());
  locked = opened.use(await openScriptedSmtp(undefined, { login }));
  down = opened.use(await openScriptedSmtp((stage) => (stage === 'connect' && isDown ? 'drop' : undefined)));
  const refusal = '530 5.7.0 Authentication required';
  picky = opened.use(await openScriptedSmtp((stage) => (stage === 'MAIL' && isPicky ? refusal : undefined)));
  receiver = opened.use(await openReceiver());
  world = opened.use(await openWorld(document('wrong'), { WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true' }));
  const events = ['transport.degraded', 'transport.recovered'];
  expect((await world.api.api('POST', '/v1/webhooks', { endpoint: receiver.url, events })).status).toBe(201);
  workers.push(await world.startWorker());
});
afterAll(() => opened.disposeAsync());

type Told = { type: string; data: { transport: string; cause: string | null; reason: string | null } };

/** What the webhook was told of a transport, a post that came twice counted once. */
function told(transport: string): Told[] {
  const all = new Map(receiver.hooks.map((hook) => [hook.headers['webhook-id'], hook.event as unknown as Told]));
  return [...all.values()].filter(({ data }) => data.transport === transport);
}

/** The worker hears within a second that it is in service: until then it sends over the other. */
async function sendToBad(who: string, more: object = {}): Promise<string> {
  await until('it to be in use', async () => {
    const id = await world.send();
    return (await world.becomes(id, 'sent')).recipients[0]?.transport === 'bad';
  });
  return world.send({ from: `${who}@shop.example`, ...more });
}

type Step = { kind: string; transport: string | null };
const timeline = async (id: string) =>
  ((await world.api.api('GET', `/v1/emails/${id}/events`)).body.data as unknown as Step[]).map(
    ({ kind, transport }) => `${kind} ${transport}`,
  );

describe('with another transport in the route', () => {
  it('a server that refuses connections and one that refuses the login are passed over, and no attempt is used', async () => {
    const id = await world.send({ route: 'refused' });
    expect((await world.becomes(id, 'sent')).recipients[0]).toMatchObject({ transport: 'good', attempts: 1 });
    expect(await timeline(id)).toEqual(['accepted null', 'answered good']);
    await until('the login to be told of', () => told('wrong').length > 0);
    expect(told('wrong')[0]).toMatchObject({ type: 'transport.degraded', data: { cause: 'login' } });
  });

  it.each(['closing', 'slow', 'login'])(
    'a sender refused for the transport’s sake goes over the other: %s',
    async (who) => {
      const id = await world.send({ from: `${who}@shop.example` });
      expect((await world.becomes(id, 'sent')).recipients[0]).toMatchObject({ transport: 'good', attempts: 1 });
      expect(await timeline(id)).toEqual(['accepted null', 'answered good']);
      expect(done).toContain(who);
      // As a message that tries it would, and as a minute would: it is in service and as fast as ever for what follows.
      await world.states.success('bad', 'trial', { id: newId('ev'), at: Date.now() });
      await world.redis.hdel(keys.transport('bad'), 'brake');
      // What refused the login is out of service until then.
      if (who === 'login') await until('it to recover', () => told('bad').length === 2);
    },
  );

  it.each(['within', 'after'])('once the message may be there it is not: dropped %s the body', async (who) => {
    const id = await sendToBad(who);
    expect((await world.becomes(id, 'sent')).recipients[0]).toMatchObject({ transport: 'bad', attempts: 2 });
    expect(await timeline(id)).toEqual(['accepted null', 'unknown bad', 'answered bad']);
    expect(arrivals(good)).not.toContain(id);
    expect(arrivals(bad).filter((one) => one === id)).toHaveLength(who === 'after' ? 2 : 1);
    done.delete(who);
    const held = await sendToBad(who, { on_unknown: 'hold' });
    expect((await world.becomes(held, 'outcome_unknown')).recipients[0]).toMatchObject({ transport: 'bad' });
    expect(arrivals(good)).not.toContain(held);
  });
});

/** Waits for it, while a probe of the transport is always due. */
function probedUntil(transport: string, isSo: () => boolean) {
  return until(`what follows from probes of ${transport}`, async () => {
    await world.states.hasten(transport, Date.now());
    return isSo();
  });
}

describe('with no other transport', () => {
  const ids: Record<'down' | 'picky' | 'locked', string[]> = { down: [], picky: [], locked: [] };
  // All at once: what finds no connection waits five seconds for one.
  beforeAll(async () => {
    workers.push(await world.startWorker());
    const mails = (count: number, more: object = {}): object[] => Array(count).fill(more);
    ids.down = await world.sendAll({ route: 'down' }, [...mails(30), ...mails(10, { lane: 'bulk' })]);
    ids.picky = await world.sendAll({ route: 'picky' }, mails(8));
    ids.locked = await world.sendAll({ route: 'locked' }, mails(20));
  });

  it('a server that is down is reported once; its mail waits without losing an attempt, and goes out by itself when the server is back', async () => {
    await until('all to be parked', async () => (await world.parked('down')) === 40);
    const { breaker } = (await world.states.read(['down'])).get('down') ?? {};
    expect(breaker).toMatchObject({ kind: 'open', cause: 'connect', reason: expect.stringMatching(/closed/i) });
    for (const id of [ids.down[0], ids.down[39]])
      expect((await world.read(id ?? '')).recipients[0]).toMatchObject({ status: 'queued', attempts: 0 });
    isDown = false;
    await probedUntil('down', () => down.bodies.length === 40);
    expect(arrivals(down).toSorted()).toEqual(ids.down.toSorted());
    for (const id of [ids.down[0], ids.down[39]])
      expect((await world.becomes(id ?? '', 'sent')).recipients[0]).toMatchObject({ attempts: 1, transport: 'down' });
    await until('its recovery to be told of', () => told('down').length === 2);
    expect(
      told('down')
        .map(({ type, data }) => [type, data.cause])
        .toSorted(),
    ).toEqual([
      ['transport.degraded', 'connect'],
      ['transport.recovered', null],
    ]);
  });

  it('a server that accepts the login and refuses the mail is tried with one email at a time, and reported once', async () => {
    const refused = () => picky.lines.filter((line) => line.startsWith('MAIL')).length - picky.bodies.length;
    await probedUntil('picky', () => refused() >= 3);
    isPicky = false;
    await probedUntil('picky', () => picky.bodies.length === 8);
    for (const id of ids.picky) expect((await world.becomes(id, 'sent')).recipients[0]).toMatchObject({ attempts: 1 });
    await until('its recovery to be told of', () => told('picky').length === 2);
    const types = told('picky').map(({ type }) => type);
    expect(types.toSorted()).toEqual(['transport.degraded', 'transport.recovered']);
  });

  it('a change of the file corrects a refused login, and its mail goes out', async () => {
    await until('all to be parked', async () => (await world.parked('locked')) === 20);
    const { breaker } = (await world.states.read(['locked'])).get('locked') ?? {};
    expect(breaker).toMatchObject({ cause: 'login', reason: expect.stringContaining('535') });
    await world.write(document('right'));
    for (const worker of workers) worker.kill('SIGHUP');
    await probedUntil('locked', () => ids.locked.every((id) => arrivals(locked).includes(id)));
    expect(arrivals(locked)).toHaveLength(20);
    expect((await world.becomes(ids.locked[0] ?? '', 'sent')).recipients[0]).toMatchObject({ attempts: 1 });
    // A worker that reads the file a moment later may have found the old password refused once more.
    await until('its recovery to be told of', () => told('locked').at(-1)?.type === 'transport.recovered');
  });
});
