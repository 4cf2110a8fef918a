/** Whose worker a name is, and that nobody waits for the connections of one that was killed. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { keys } from '../src/store/keys.ts';
import { hasDiedHere, workerName } from '../src/worker-name.ts';
import { startProcess } from './support/processes.ts';
import { openWorld } from './support/transports-world.ts';
import { until } from './support/until.ts';

const nameOf = (pid: number) => workerName('x').replace(/\/\d+\//, `/${pid}/`);

it('a worker has died here when its process is gone, and not while it lives, or when it ran elsewhere', async () => {
  const gone = spawnSync(process.execPath, ['--version']).pid;
  await using alive = startProcess('sleep', ['60']);
  expect(hasDiedHere(nameOf(gone))).toBe(true);
  expect(hasDiedHere(nameOf(alive.pid))).toBe(false);
  expect(hasDiedHere(`elsewhere${nameOf(gone)}`)).toBe(false);
  for (const name of ['', 'old-form-17-x', nameOf(0), nameOf(-1)]) expect(hasDiedHere(name)).toBe(false);
});

it('another worker with our own pid is dead: it had the pid before us', () => {
  expect(hasDiedHere(workerName('before'))).toBe(true);
});

it('a worker that starts after another was killed has its connections at once', async () => {
  await using world = await openWorld({
    transports: { only: { url: 'smtp://127.0.0.1:9?tls=none' } },
    routes: { default: { failover: ['only'] } },
  });
  const workers = () => world.redis.hkeys(keys.allotments('only'));
  const killed = await world.startWorker();
  await until('it to report', async () => (await workers()).length === 1);
  const [name = ''] = await workers();
  killed.kill('SIGKILL');
  await killed.ended;
  // As if it had reported just now, however long the next one takes to start.
  const all = 10;
  await world.redis.hset(
    keys.allotments('only'),
    name,
    JSON.stringify([Date.now() + 3_600_000, all, 0, 0, all, all, all]),
  );
  await world.startWorker();
  await until('the next one to report', async () => (await workers()).some((worker) => worker !== name));
  expect(await workers()).not.toContain(name);
});
