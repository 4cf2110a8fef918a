/** Job queues: the stage's answer decides, a throw costs nothing, and no job is lost whatever Redis says. */
import { expect, it } from 'vitest';
import { makeDeadline } from '../../src/concurrency/deadline.ts';
import type { Answer } from '../../src/domain/outcome.ts';
import { openDeliverQueues } from '../../src/queue/deliver-queue.ts';
import { assertRenewed, openWorker, type WorkerOptions } from '../../src/queue/jobs.ts';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
useTestRedis((own) => {
  server = own;
});

const troubles: unknown[] = [];
const options: WorkerOptions = {
  concurrency: 5,
  lockMs: 1_000,
  deadline: makeDeadline(5_000),
  outlasts() {},
  stopping: new AbortController().signal,
  cut: new AbortController().signal,
  onTrouble: (_, error) => troubles.push(error),
  now: Date.now,
  ownNow: Date.now,
};

/** A queue of its own with a worker that runs `stage` and notes each run. */
async function openLine(prefix: string, stage: (id: string, run: number) => Promise<Answer>, now = Date.now) {
  await using line = new AsyncDisposableStack();
  const redis = server.connect({ maxRetriesPerRequest: null });
  const connection = { redis, prefix: `{t}:${prefix}` };
  const runs: string[] = [];
  const { transactional } = line.use(openDeliverQueues(connection));
  const queue = {
    add: (ids: readonly string[]) =>
      transactional.add(
        ids.map((id) => ({ id, emails: [] })),
        Date.now(),
      ),
  };
  const count = (id: string) => runs.filter((run) => run === id).length;
  const run = ({ id }: { id: string }) => {
    runs.push(id);
    return stage(id, count(id));
  };
  line.use(await openWorker('deliver', run, connection, { ...options, now }));
  const all = line.move();
  return { redis, queue, runs, count, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

it('a job that is done is gone; one that answers again comes back at its time, not before', async () => {
  const ranAt: number[] = [];
  const due = Date.now() + 1_000;
  await using line = await openLine('again', async (_, run) => {
    ranAt.push(Date.now());
    return run === 1 ? { again: due } : { done: true };
  });
  await line.queue.add(['em_1']);
  await until('two runs', () => ranAt.length === 2);
  expect(ranAt[1]).toBeGreaterThanOrEqual(due);
  await until('the job to be gone', async () => (await line.redis.keys('{t}:again:deliver:em_1*')).length === 0);
});

it('a job comes back by the clock of the fleet, also if the clock of the machine is a day behind', async () => {
  const fleetNow = () => Date.now() + 86_400_000;
  const stage = async (_: string, run: number) => (run === 1 ? { again: fleetNow() } : { done: true as const });
  await using line = await openLine('behind', stage, fleetNow);
  await line.queue.add(['em_1']);
  await until('two runs', () => line.count('em_1') === 2);
});

it('an id that waits, runs or is delayed is not queued twice', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using line = await openLine('twice', async (id, run) => {
    if (id === 'slow') await promise;
    return id === 'later' && run === 1 ? { again: Date.now() + 500 } : { done: true };
  });
  await line.queue.add(['slow', 'later']);
  await until('both to have run', () => line.count('slow') === 1 && line.count('later') === 1);
  await line.queue.add(['slow', 'later']);
  resolve();
  await line.queue.add(['last']);
  await until('the end', () => line.count('last') === 1 && line.count('later') === 2);
  expect([line.count('slow'), line.count('later')]).toEqual([1, 2]);
});

it('a stage that throws is reported and run again', async () => {
  troubles.length = 0;
  await using line = await openLine('throw', async (_, run) => {
    if (run === 1) throw new Error('a bug');
    return { done: true };
  });
  await line.queue.add(['em_1']);
  await until('a second run', () => line.count('em_1') === 2);
  expect(troubles).toMatchObject([{ message: 'a bug' }]);
});

it('a job whose answer a full Redis will not write down is not lost', async () => {
  await using line = await openLine('full', async (_, run) => {
    if (run === 1) await line.redis.config('SET', 'maxmemory', '1');
    return run === 1 ? { again: Date.now() } : { done: true };
  });
  await line.queue.add(['em_1']);
  await until('the trouble to be reported', () => troubles.some((error) => /OOM/.test(String(error))));
  await line.redis.config('SET', 'maxmemory', '0');
  await until('a second run', () => line.count('em_1') >= 2);
});

it('a job is never given up: if its answer is refused once, the queue has attempts left for the next', async () => {
  await using line = await openLine('attempts', async () => ({ again: Date.now() + 60_000 }));
  await line.queue.add(['em_1']);
  await until('it to be delayed', async () => (await line.redis.zcard('{t}:attempts:deliver:delayed')) === 1);
  const options = JSON.parse((await line.redis.hget('{t}:attempts:deliver:em_1', 'opts')) ?? '{}');
  expect(options).toMatchObject({ attempts: 1_000_000_000, backoff: { delay: 5_000 } });
});

it('jobs are added by the thousand, each once', async () => {
  await using line = await openLine('bulk', async () => ({ done: true }));
  const ids = Array.from({ length: 1_201 }, (_, n) => `em_${n}`);
  await line.queue.add(ids);
  await until('all to have run', () => line.runs.length >= ids.length);
  expect(new Set(line.runs).size).toBe(ids.length);
});

it('a worker whose locks would lapse in the middle of a wait does not open', () => {
  expect(() => assertRenewed({ lockDuration: 1_000, lockRenewTime: 500 })).not.toThrow();
  expect(() => assertRenewed({ lockDuration: 1_000, lockRenewTime: 1_000 })).toThrow('would lapse');
  expect(() => assertRenewed({ lockDuration: 1_000, lockRenewTime: 500, skipLockRenewal: true })).toThrow(
    'would lapse',
  );
  expect(() => assertRenewed({})).toThrow('would lapse');
});
