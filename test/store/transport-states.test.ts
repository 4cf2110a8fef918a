/** What the fleet knows of its transports, and what is told of a breaker that opens or closes. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { closedBreaker, type TransportState } from '../../src/domain/transport-state.ts';
import { keys } from '../../src/store/keys.ts';
import { openTransportStates, type TransportStates } from '../../src/store/transport-states.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let states: TransportStates;
useTestRedis((server) => {
  redis = server.connect();
  states = openTransportStates(redis);
});

const now = 1_700_000_000_000;
const server = { host: 'mail.example.com', port: 587 };
const refused = { cause: 'connect', reason: 'ECONNREFUSED' } as const;
const clean: TransportState = { paused: null, breaker: closedBreaker, brake: null, granted: null };

let lastEvent = 0;
const event = (at = now) => ({ id: `ev_${lastEvent++}`, at });
const stateOf = async (name: string) => (await states.read([name])).get(name);

async function eventsOf(transport: string): Promise<unknown[]> {
  const entries = await redis.xrange(keys.outbox, '-', '+');
  return entries.map(([, [, json = '']]) => JSON.parse(json)).filter((told) => told.transport === transport);
}

it('reads several at once; one of which nothing was written is clean', async () => {
  await states.pause('paused', 'ak_ops', now);
  await states.brake('slow', server, now);
  expect(await states.read(['paused', 'slow', 'new'])).toEqual(
    new Map<string, TransportState>([
      ['paused', { ...clean, paused: { at: now, by: 'ak_ops' } }],
      ['slow', { ...clean, brake: { factor: 0.5, at: now, of: server } }],
      ['new', clean],
    ]),
  );
  await states.resume('paused');
  expect(await stateOf('paused')).toEqual(clean);
});

it('a breaker opens at the third fault, is closed by a probe, and reports each with what was wrong', async () => {
  await Promise.all([states.fault('ses', refused, event()), states.fault('ses', refused, event())]);
  expect(await eventsOf('ses')).toEqual([]);
  const third = event();
  await states.fault('ses', refused, third);
  await states.fault('ses', refused, event());
  expect(await stateOf('ses')).toMatchObject({ breaker: { kind: 'open', ...refused, since: now } });
  const probed = event(now + 1_000);
  await states.success('ses', 'probe', probed);
  await states.success('ses', 'probe', event());
  expect(await stateOf('ses')).toEqual(clean);
  expect(await eventsOf('ses')).toEqual([
    { ...third, type: 'transport.degraded', transport: 'ses', ...refused },
    { ...probed, type: 'transport.recovered', transport: 'ses', reason: null, cause: null },
  ]);
});

it('trouble that a message met is tried by one message in the fleet and reported once, however often a login succeeds meanwhile', async () => {
  const met = { cause: 'login', reason: '530 5.7.0 Login first', byMessage: true } as const;
  await states.fault('odd', met, event());
  for (let n = 1; n <= 3; n++) {
    const at = now + n * 60_000;
    expect(await states.takeTrial('odd', at)).toBe(false);
    expect(await states.takeProbe('odd', at)).toBe(true);
    await states.success('odd', 'probe', event());
    const taken = await Promise.all(Array.from({ length: 5 }, () => states.takeTrial('odd', at)));
    expect(taken.filter(Boolean)).toHaveLength(1);
    await states.fault('odd', met, event());
  }
  await states.success('odd', 'trial', event());
  const told = (await eventsOf('odd')).map((each) => (each as { type: string }).type);
  expect(told).toEqual(['transport.degraded', 'transport.recovered']);
});

it('a message that goes through ends the row of faults', async () => {
  await states.fault('flaky', refused, event());
  await states.fault('flaky', refused, event());
  await states.success('flaky', 'message', event());
  await states.fault('flaky', refused, event());
  expect(await stateOf('flaky')).toEqual({ ...clean, breaker: { kind: 'closed', faults: 1 } });
});

it('a report that is sent twice, as its answer was lost, counts once and is answered as the first time', async () => {
  const report = event();
  const login = { cause: 'login', reason: '535' } as const;
  const twice = openTransportStates(repeating(redis));
  await twice.fault('lossy', login, report);
  expect(await eventsOf('lossy')).toHaveLength(1);
  await twice.fault('lossy2', refused, event());
  expect(await stateOf('lossy2')).toMatchObject({ breaker: { faults: 1 } });
});

/** Runs each script twice and gives the second answer, as a client does whose connection was cut after the first. */
function repeating(real: Redis): Redis {
  return new Proxy(real, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (name !== 'call') return typeof value === 'function' ? value.bind(target) : value;
      return async (...args: Parameters<Redis['call']>) => {
        await target.call(...args);
        return target.call(...args);
      };
    },
  });
}

it('a probe is taken by one, and by another when that one is not heard of until the next time', async () => {
  await states.fault('down', { cause: 'login', reason: '535' }, event());
  const take = (at: number) =>
    Promise.all(Array.from({ length: 10 }, () => states.takeProbe('down', at))).then(
      (taken) => taken.filter(Boolean).length,
    );
  expect(await take(now + 4_999)).toBe(0);
  expect(await take(now + 5_000)).toBe(1);
  expect(await take(now + 14_999)).toBe(0);
  expect(await take(now + 15_000)).toBe(1);
  expect(await states.takeProbe('never-seen', now)).toBe(false);
});

it('many workers that are asked to slow down at the same time halve the pace once', async () => {
  await Promise.all(Array.from({ length: 20 }, (_, n) => states.brake('busy', server, now + n)));
  expect(await stateOf('busy')).toMatchObject({ brake: { factor: 0.5 } });
  await states.brake('busy', server, now + 60_000);
  expect((await stateOf('busy'))?.brake?.factor).toBeCloseTo(0.5, 3);
});

it('a server that asks to slow down begins a brake of its own, whatever the one before it asked for', async () => {
  await states.brake('moved', server, now);
  const next = { ...server, port: 25 };
  await states.brake('moved', next, now + 1_000);
  expect(await stateOf('moved')).toMatchObject({ brake: { factor: 0.5, at: now + 1_000, of: next } });
});

it('an open breaker that is hastened is probed now, by one worker, without a report', async () => {
  const name = 'hastened';
  await states.hasten(name, now);
  expect(await stateOf(name)).toEqual(clean);
  for (let n = 0; n < 3; n++) await states.fault(name, { cause: 'login', reason: '535' }, event());
  const told = await eventsOf(name);
  expect(await states.takeProbe(name, now + 1)).toBe(false);
  await states.hasten(name, now + 1);
  expect(await stateOf(name)).toMatchObject({ breaker: { kind: 'open', reason: '535', since: now, probeAt: now + 1 } });
  expect([await states.takeProbe(name, now + 1), await states.takeProbe(name, now + 1)]).toEqual([true, false]);
  await states.hasten(name, now + 2);
  await states.hasten(name, now + 3);
  expect(await stateOf(name)).toMatchObject({ breaker: { probeAt: now + 2 } });
  expect(await eventsOf(name)).toEqual(told);
});

it('a paused transport stays paused in the name of the first caller', async () => {
  await states.pause('twice', 'ak_first', now);
  await states.pause('twice', 'ak_second', now + 1);
  expect(await stateOf('twice')).toMatchObject({ paused: { at: now, by: 'ak_first' } });
});
