/** Limits of transports over two workers: kept to by all of them together, and mail that waits for one costs nothing and stands in nobody's way. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Postrider } from '../support/postrider.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { arrivals, openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let limited: ScriptedSmtp;
let slow: ScriptedSmtp;
let free: ScriptedSmtp;
let few: ScriptedSmtp;
let world: World;
let workers: Postrider[];
/** When each message came to the limited server. */
const cameAt: number[] = [];

beforeAll(async () => {
  limited = opened.use(
    await openScriptedSmtp((stage) => {
      if (stage === 'body') cameAt.push(performance.now());
      return undefined;
    }),
  );
  slow = opened.use(await openScriptedSmtp());
  free = opened.use(await openScriptedSmtp());
  few = opened.use(await openScriptedSmtp());
  const transports = {
    limited: transportAt(limited.port, { rate: '20/s' }),
    slow: transportAt(slow.port, { rate: '1/s' }),
    free: transportAt(free.port),
    few: transportAt(few.port, { rate: '10/s' }),
  };
  const routes = {
    default: { failover: ['free'] },
    limited: { failover: ['limited'] },
    slow: { failover: ['slow'] },
    few: { failover: ['few'] },
  };
  world = opened.use(await openWorld({ transports, routes }));
  workers = await Promise.all([world.startWorker(), world.startWorker()]);
});
afterAll(() => opened.disposeAsync());

/** CPU of a process since it began, in seconds. */
async function cpuOf({ pid }: Postrider): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // utime and stime, in ticks of 10 ms, 12 and 13 fields after the command in brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

it('twenty a second are what both workers send together: nothing comes before its time', async () => {
  const begunAt = performance.now();
  const ids = await world.sendAll({ route: 'limited' }, Array(110).fill({}));
  const waiting = await until('some to be parked', async () => (await world.parked('limited')) > 50 && ids.at(-1));
  expect((await world.read(waiting ?? '')).recipients[0]).toMatchObject({ status: 'queued', attempts: 0 });
  await until('all to arrive', () => limited.bodies.length === 110);
  expect(arrivals(limited).toSorted()).toEqual(ids.toSorted());
  // From the beginning, with 0.1 s of the rate to catch up with: a busy machine has them come later than that, and never earlier. What holds in any window is shown with a clock of their own in test/store/budget-rates.test.ts.
  const most = (ms: number) => (20 * 1.05 * (ms + 100)) / 1_000 + 1;
  for (const [n, at] of cameAt.entries()) expect(n + 1, `number ${n}`).toBeLessThanOrEqual(most(at - begunAt));
  expect((await world.becomes(ids[0] ?? '', 'sent')).recipients[0]).toMatchObject({ attempts: 1 });
});

it('mail of another transport goes out before earlier mail that waits', async () => {
  const ids = await world.sendAll({ route: 'slow' }, Array(300).fill({}));
  const others = await world.sendAll({}, Array(300).fill({}));
  await until('the others to arrive', () => free.bodies.length === 300);
  expect(arrivals(free).toSorted()).toEqual(others.toSorted());
  await until('the rest to wait', async () => (await world.parked('slow')) + slow.bodies.length >= 298);
  expect((await world.read(ids[299] ?? '')).recipients[0]).toMatchObject({ status: 'queued', attempts: 0 });
});

it('thousands that wait for one a second take next to no CPU of the workers', async () => {
  for (let n = 0; n < 3; n++) await world.sendAll({ route: 'slow', lane: 'bulk' }, Array(1_000).fill({}));
  await until('all to wait', async () => (await world.parked('slow')) + slow.bodies.length >= 3_290);
  const before = await Promise.all(workers.map(cpuOf));
  const at = performance.now();
  const sent = slow.bodies.length;
  await until('two more to go', () => slow.bodies.length >= sent + 2 && performance.now() - at > 1_500);
  const seconds = (performance.now() - at) / 1_000;
  const after = await Promise.all(workers.map(cpuOf));
  for (const [n, cpu] of after.entries()) expect((cpu - (before[n] ?? 0)) / seconds).toBeLessThan(0.2);
});

it('mail that waits ends at its time, without an attempt', async () => {
  const id = await world.send({ route: 'slow', lane: 'bulk', ttl: 2 });
  const { recipients } = await world.becomes(id, 'expired');
  const reason = 'not delivered before it expired: transport slow had used up its rate';
  expect(recipients[0]).toMatchObject({ attempts: 0, transport: null, reason });
  expect(arrivals(slow)).not.toContain(id);
});

it('transactional mail overtakes the bulk that waits, and bulk still flows', async () => {
  await world.sendAll({ route: 'few', lane: 'bulk' }, Array(40).fill({}));
  await until('bulk to wait', async () => (await world.parked('few')) > 30);
  const sent = few.bodies.length;
  const urgent = await world.sendAll({ route: 'few' }, Array(6).fill({}));
  await until('all urgent ones to arrive', () => urgent.every((id) => arrivals(few).includes(id)));
  const passed = arrivals(few).length - sent - urgent.length;
  // One in four is bulk, and what had its permit when they came.
  expect(passed).toBeLessThan(16);
  await until('bulk to go on', () => few.bodies.length > sent + urgent.length + passed + 3);
});

it('a worker that is killed and a Redis that restarts while mail waits lose nothing', async () => {
  const ids = await world.sendAll({ route: 'few' }, Array(40).fill({}));
  await until('mail to wait', async () => (await world.parked('few')) > 20);
  workers[0]?.kill('SIGKILL');
  await workers[0]?.ended;
  await world.server.stop();
  await world.server.start();
  await until('all to arrive', () => ids.every((id) => arrivals(few).includes(id)));
  const copies = arrivals(few).filter((id) => ids.includes(id));
  for (const id of ids.filter((one) => copies.filter((other) => other === one).length > 1)) {
    const { body } = await world.api.api('GET', `/v1/emails/${id}/events`);
    expect(body.data).toContainEqual(expect.objectContaining({ kind: 'unknown' }));
  }
});
