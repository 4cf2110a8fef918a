/** TRANSPORTS_FILE: routes and rules decide which server has an email, and a change of the file holds for mail that waits; none is lost by it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import type { Postrider } from '../support/postrider.ts';
import type { ScriptedLogin } from '../support/scripted-login.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { arrivals, openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let a: ScriptedSmtp;
let b: ScriptedSmtp;
let world: World;
let workers: Postrider[];

const failover = (...names: string[]) => ({ failover: names });
const rules = [
  { when: { lane: 'bulk' }, route: 'second' },
  { when: { from_domain: 'books.example', tag: { kind: 'receipt' } }, route: 'second' },
];
const routes = { default: failover('a'), second: failover('b'), spread: { weighted: { a: 1, b: 3 } } };
/** What the file says, with the password for the second server. */
const document = (pass = 'old', more: object = {}) => ({
  transports: {
    a: transportAt(a.port),
    b: { host: '127.0.0.1', port: b.port, tls: { require: false }, auth: { user: 'u', pass } },
  },
  routes,
  rules,
  ...more,
});

/** The password that the second server takes. */
const login = { methods: ['PLAIN'], user: 'u', pass: 'old' } satisfies ScriptedLogin;
beforeAll(async () => {
  a = opened.use(await openScriptedSmtp());
  b = opened.use(await openScriptedSmtp(undefined, { login }));
  world = opened.use(await openWorld(document()));
  workers = await Promise.all([world.startWorker(), world.startWorker()]);
});
afterAll(() => opened.disposeAsync());

async function arrive(ids: readonly string[], ...servers: ScriptedSmtp[]): Promise<void> {
  const missing = () => {
    const arrived = new Set(arrivals(...servers));
    return ids.filter((id) => !arrived.has(id));
  };
  await until('all to arrive', () => missing().length === 0, missing);
}

it('an email uses the route it names, else the first rule that fits, else the default', async () => {
  const tags = [{ name: 'kind', value: 'receipt' }];
  const toA = [
    await world.send(),
    await world.send({ tags }),
    await world.send({ from: 'a@books.example' }),
    await world.send({ lane: 'bulk', route: 'default' }),
  ];
  const toB = [
    await world.send({ route: 'second' }),
    await world.send({ lane: 'bulk' }),
    await world.send({ from: 'A <a@Books.Example>', tags }),
  ];
  await arrive(toA, a);
  await arrive(toB, b);
  expect((await world.becomes(toB[0] ?? '', 'sent')).recipients[0]).toMatchObject({ transport: 'b', attempts: 1 });
});

it('an unknown route is refused with the names of the existing ones', async () => {
  const { status, body } = await world.api.api('POST', '/v1/emails', {
    ...{ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' },
    route: 'third',
  });
  expect(status).toBe(422);
  expect(body.errors).toEqual([
    expect.objectContaining({ pointer: '/route', message: expect.stringMatching(/default.*second.*spread/) }),
  ]);
});

it('weights spread mail over servers', async () => {
  const ids = await world.sendAll({ route: 'spread' }, Array(80).fill({}));
  await arrive(ids, a, b);
  const counts = [a, b].map((server) => arrivals(server).filter((id) => ids.includes(id)).length);
  expect(counts[0]).toBeGreaterThan(3);
  expect(counts[1]).toBeGreaterThan(40);
});

it('the file may change while mail flows: other credentials, a wrong file, SIGHUP; each email arrives once', async () => {
  const ids: string[] = [];
  let isOver = false;
  const flow = (async () => {
    while (!isOver) {
      ids.push(...(await world.sendAll({ lane: 'bulk' }, Array(20).fill({}))));
      ids.push(await world.send());
      await arrive(ids, a, b);
    }
  })();
  const printed = (pattern: RegExp, times = 1) =>
    until(
      `${times} lines of ${pattern} by each worker`,
      () => workers.every((worker) => (worker.output().match(new RegExp(pattern, 'g')) ?? []).length === times),
      () =>
        workers.map((worker) =>
          worker
            .output()
            .split('\n')
            .filter((line) => /FILE/.test(line)),
        ),
    );
  // A server that has another password from now on, and those logged in stay so until the file says it too.
  login.pass = 'new';
  const { connections } = b;
  await world.write(document('new'));
  await printed(/was read again/);
  await until('the new password to be used', () => b.connections > connections);

  await world.write({ ...document(), rules: [{ when: { lane: 'bulk' }, route: 'nowhere' }] });
  await printed(/rules\.0\.route.*TRANSPORTS_FILE is wrong/);
  for (const worker of workers) worker.kill('SIGHUP');
  await printed(/rules\.0\.route.*TRANSPORTS_FILE is wrong/, 2);
  const isWrong = async () =>
    /^postrider_transports_file_wrong (\d)/m.exec(await (await fetch(`${world.api.url}/metrics`)).text())?.[1];
  await until('the API to have read it', async () => (await isWrong()) === '1');
  const { body: readiness } = await world.api.api('GET', '/readyz');
  expect([readiness.status, readiness.checks.filter(({ ok }) => !ok).map(({ name }) => name)]).toEqual([
    'ready',
    ['transports_file'],
  ]);
  await world.write(document('new'));
  await printed(/is valid again: transports, routes and rules stay/);
  await until('the API to have read it', async () => (await isWrong()) === '0');
  for (const worker of workers) worker.kill('SIGHUP');
  await printed(/is the same as before/);

  await world.write(document('new', { routes: { ...routes, default: failover('b') } }));
  for (const worker of workers) worker.kill('SIGHUP');
  await printed(/was read again/, 3);
  isOver = true;
  await flow;
  const last = await world.send();
  await arrive([last], b);
  expect(
    arrivals(a, b)
      .filter((id) => ids.includes(id))
      .toSorted(),
  ).toEqual(ids.toSorted());
  expect(workers.map((worker) => worker.output()).join()).not.toMatch(/"pass|\bold\b/);
});

it('mail that waits for a transport finds another way when the file drops that, once no worker has it', async () => {
  await world.states.pause('b', 'k', Date.now());
  // Each worker hears of it within a second; until then it sends.
  await until('many to be parked', async () => {
    await world.sendAll({ route: 'second' }, Array(10).fill({}));
    return (await world.parked('b')) >= 30;
  });
  const ids = await world.redis.zrange(keys.parked('b', 'transactional'), '0', '-1');
  await world.write({ transports: { a: transportAt(a.port) }, routes: { default: failover('a') } });
  await arrive(ids, a);
  expect(arrivals(b).filter((id) => ids.includes(id))).toEqual([]);
  for (const id of ids.slice(0, 3))
    expect((await world.becomes(id, 'sent')).recipients[0]).toMatchObject({ transport: 'a', attempts: 1 });
});
