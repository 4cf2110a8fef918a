/** The queues of delivery: a job brings its emails to a worker, and tells where each of them is. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { makeDeadline } from '../../src/concurrency/deadline.ts';
import { type DeliverJob, deliverQueueNames, type JobData, openDeliverQueues } from '../../src/queue/deliver-queue.ts';
import { openWorker } from '../../src/queue/jobs.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect({ maxRetriesPerRequest: null });
});

function workerOptions() {
  const { signal: never } = new AbortController();
  const deadline = makeDeadline(5_000);
  return {
    concurrency: 5,
    lockMs: 1_000,
    deadline,
    outlasts() {},
    stopping: never,
    cut: never,
    onTrouble() {},
    now: Date.now,
    ownNow: Date.now,
  };
}

it('each job comes to the worker of its lane with its emails', async () => {
  await using stack = new AsyncDisposableStack();
  const connection = { redis, prefix: '{t}:lanes' };
  const queues = stack.use(openDeliverQueues(connection));
  const had: (DeliverJob & { lane: string })[] = [];
  for (const lane of ['transactional', 'bulk'] as const) {
    const stage = async ({ id, data }: { id: string; data: JobData }) => {
      had.push({ lane, id, emails: data.emails });
      return { done: true } as const;
    };
    stack.use(await openWorker(deliverQueueNames[lane], stage, connection, workerOptions()));
  }
  await queues.transactional.add([{ id: 'jb_1', emails: ['em_1', 'em_2'] }], Date.now());
  await queues.bulk.add(
    [
      { id: 'jb_2', emails: ['em_3'] },
      { id: 'jb_3', emails: ['em_4'] },
    ],
    Date.now(),
  );
  await queues.bulk.add([], Date.now());
  await until('three jobs', () => had.length === 3);
  expect(had.toSorted((a, b) => a.id.localeCompare(b.id))).toEqual([
    { lane: 'transactional', id: 'jb_1', emails: ['em_1', 'em_2'] },
    { lane: 'bulk', id: 'jb_2', emails: ['em_3'] },
    { lane: 'bulk', id: 'jb_3', emails: ['em_4'] },
  ]);
});

it('a queue says where an email is, how many wait, and whether a job lives', async () => {
  await using stack = new AsyncDisposableStack();
  const connection = { redis, prefix: '{t}:where' };
  const queue = stack.use(openDeliverQueues(connection)).transactional;
  await queue.add([{ id: 'jb_1', emails: ['em_1', 'em_2'] }], Date.now());
  await queue.add([{ id: 'jb_2', emails: ['em_3'] }], Date.now());
  expect(await queue.whereabouts('em_2')).toEqual({ job: 'waiting', waiting: 3 });
  expect(await queue.waiting()).toBe(2);
  expect([await queue.isLive('jb_1'), await queue.isLive('jb_9')]).toEqual([true, false]);

  const { promise, resolve } = Promise.withResolvers<void>();
  const stage = async ({ id }: { id: string }) => {
    if (id === 'jb_1') await promise;
    return { done: true } as const;
  };
  stack.use(await openWorker('deliver', stage, connection, workerOptions()));
  await until('one to be in hand and the other done', async () => !(await queue.isLive('jb_2')));
  expect(await queue.whereabouts('em_2')).toEqual({ job: 'active', waiting: 0 });
  expect(await queue.whereabouts('em_3')).toEqual({ job: 'absent', waiting: 0 });
  resolve();
  await until('it to be done', async () => !(await queue.isLive('jb_1')));
});

it('the oldest job is the one that was added first, in hand or not', async () => {
  await using stack = new AsyncDisposableStack();
  const connection = { redis, prefix: '{t}:oldest' };
  const queue = stack.use(openDeliverQueues(connection)).bulk;
  expect(await queue.oldestAt()).toBeNull();
  // By the clock of whoever adds them, and not of the machine.
  const first = 1_700_000_000_000;
  await queue.add([{ id: 'jb_1', emails: ['em_1'] }], first);
  expect(await queue.oldestAt()).toBe(first);
  await queue.add([{ id: 'jb_2', emails: ['em_2'] }], first + 1);
  expect(await queue.oldestAt()).toBe(first);

  const held = Promise.withResolvers<{ done: true }>();
  const taken: string[] = [];
  const stage = ({ id }: { id: string }) => {
    taken.push(id);
    return held.promise;
  };
  stack.use(await openWorker(deliverQueueNames.bulk, stage, connection, { ...workerOptions(), concurrency: 1 }));
  await until('the first to be in hand', () => taken.includes('jb_1'));
  expect(await queue.oldestAt()).toBe(first);
  held.resolve({ done: true });
  await until('none to be left', async () => (await queue.oldestAt()) === null);
});

it('the oldest job counts while it waits for its next run, also after one that comes again sooner', async () => {
  await using stack = new AsyncDisposableStack();
  const connection = { redis, prefix: '{t}:oldest' };
  const queue = stack.use(openDeliverQueues(connection)).transactional;
  const stage = async ({ id }: { id: string }) => ({ again: Date.now() + (id === 'jb_1' ? 600_000 : 300_000) });
  stack.use(
    await openWorker(deliverQueueNames.transactional, stage, connection, { ...workerOptions(), concurrency: 1 }),
  );
  expect(await queue.oldestAt()).toBeNull();
  await queue.add([{ id: 'jb_1', emails: ['em_1'] }], Date.now());
  const delayed = () => redis.zcard('{t}:oldest:deliver:delayed');
  await until('the first to wait', async () => (await delayed()) === 1);
  const firstAt = await queue.oldestAt();
  expect(firstAt).not.toBeNull();
  await until('the next millisecond', () => Date.now() > (firstAt ?? 0));
  await queue.add([{ id: 'jb_2', emails: ['em_2'] }], Date.now());
  await until('both to wait', async () => (await delayed()) === 2);
  expect(await queue.oldestAt()).toBe(firstAt);
});
