/** deliver: the places that the emails of a job wait for, all together or one by one, and what becomes of those that find none. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { makeSemaphore } from '../../src/concurrency/semaphore.ts';
import { done } from '../../src/domain/outcome.ts';
import type { Dispatched, Outgoing } from '../../src/pipeline/dispatch.ts';
import { deliveringOver, handOver, noPermits } from '../support/deliver.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const { accept, run, marks } = deliveringOver(() => redis);

it('an email that comes again is marked, and leaves its place, while another email of its job hangs', async () => {
  const [hanging, withheld, troubled] = [await accept('hang@x.co'), await accept('b@x.co'), await accept('c@x.co')];
  const answered = Promise.withResolvers<Dispatched>();
  const dispatch = async ({ email }: Outgoing): Promise<Dispatched> => {
    if (email.facts.id === hanging) return answered.promise;
    if (email.facts.id === troubled) throw new Error('a bug');
    return { kind: 'withheld' };
  };
  const inHand = makeSemaphore(3);
  const job = run([hanging, withheld, troubled], dispatch, undefined, { inHand });
  await until('both to be marked', async () => (await marks()).length === 2, marks);
  expect((await marks()).toSorted()).toEqual([withheld, troubled].toSorted());
  expect(await inHand.take(AbortSignal.timeout(30_000), 2)).not.toBeNull();
  answered.resolve({ kind: 'withheld' });
  expect(await job).toEqual(done);
  expect(await marks()).toContain(hanging);
});

it('an email that hangs keeps no other job from the places that are free', async () => {
  const [hanging, ...others] = await Promise.all(['hang@x.co', 'b@x.co', 'c@x.co', 'd@x.co'].map((to) => accept(to)));
  const inHand = makeSemaphore(3);
  const answered = Promise.withResolvers<Dispatched>();
  const hung = run([hanging ?? ''], () => answered.promise, undefined, { inHand });
  const seen = { settled: new Map<string, unknown>(), troubles: [] };
  expect(await run(others, handOver, seen, { inHand })).toEqual(done);
  expect([...seen.settled.keys()]).toEqual(others);
  answered.resolve({ kind: 'withheld' });
  expect(await hung).toEqual(done);
});

it('an error with one of several emails that wait for places is thrown once all have ended', async () => {
  const [bad, ...others] = await Promise.all([accept('a@x.co'), accept('b@x.co'), accept('c@x.co')]);
  const [inHand, seen] = [makeSemaphore(2), { settled: new Map<string, unknown>(), troubles: [] }];
  await inHand.take(new AbortController().signal);
  const findPermits = ([id]: readonly string[]) => (id === bad ? Promise.reject(new Error('away')) : noPermits());
  await expect(run([bad, ...others], handOver, seen, { inHand, findPermits })).rejects.toThrow('away');
  expect([...seen.settled.keys()]).toEqual(others);
});

it('emails of a job that find no place come again by themselves, while another of it is in hand', async () => {
  const [first, second, third] = await Promise.all(['a@x.co', 'b@x.co', 'c@x.co'].map((to) => accept(to)));
  const [inHand, line, stopping] = [makeSemaphore(2), makeSemaphore(1), new AbortController()];
  const answered = Promise.withResolvers<Dispatched>();
  const begun: string[] = [];
  const hang = ({ email }: Outgoing) => {
    begun.push(email.facts.id);
    return answered.promise;
  };
  const more = { inHand, line, stopping: stopping.signal };
  const hung = run([first ?? ''], hang, undefined, more);
  const job = run([second ?? '', third ?? ''], hang, undefined, more);
  await until('both places to be taken', () => begun.length === 2);
  stopping.abort();
  await until('the third to be marked', async () => (await marks()).length === 1, marks);
  expect(await marks()).toEqual([third]);
  answered.resolve({ kind: 'withheld' });
  expect(await Promise.all([hung, job])).toEqual([done, done]);
});

it('a job that gets no turn, or no place at all, goes back to the queue with all its emails, and not at once to the same worker', async () => {
  const id = await accept('a@x.co');
  for (const full of ['inHand', 'line']) {
    const [stopping, seen] = [new AbortController(), { settled: new Map<string, unknown>(), troubles: [] }];
    const of = { inHand: makeSemaphore(1), line: makeSemaphore(1), stopping: stopping.signal, now: () => 5 };
    await (full === 'line' ? of.line : of.inHand).take(stopping.signal);
    const job = run([id], handOver, seen, of);
    stopping.abort();
    const answer = await job;
    expect('again' in answer && answer.again).toBeGreaterThan(5);
    expect([...seen.settled.keys()]).toEqual([]);
  }
});

it('once an email of a job finds no place, all after it come again as well, also when a place becomes free', async () => {
  const [first, ...others] = await Promise.all(['a@x.co', 'b@x.co', 'c@x.co'].map((to) => accept(to)));
  const [inHand, stopping] = [makeSemaphore(2), new AbortController().signal];
  const free = await inHand.take(stopping);
  let asked = 0;
  const take = async (signal: AbortSignal, weight?: number) => {
    const taken = await inHand.take(signal, weight, 1);
    asked += 1;
    // Together, for the first, and in vain for the second.
    if (asked === 3) free?.();
    return taken;
  };
  const answered = Promise.withResolvers<Dispatched>();
  const job = run([first ?? '', ...others], () => answered.promise, undefined, { inHand: { take } });
  await until('the others to be marked', async () => (await marks()).length > 0, marks);
  expect((await marks()).toSorted()).toEqual(others.toSorted());
  answered.resolve({ kind: 'withheld' });
  expect(await job).toEqual(done);
});

const withhold = async (): Promise<Dispatched> => ({ kind: 'withheld' });
it.each([
  ['are withheld', withhold, 2],
  ['find no place', handOver, 1],
])('a job whose emails %s ends only once it is stored when they come again', async (_, dispatch, places) => {
  const emails = [await accept('a@x.co'), await accept('b@x.co')];
  const [stored, marked] = [Promise.withResolvers<void>(), new Set<string>()];
  const mark = async (_lane: unknown, marks: readonly { id: string }[]) => {
    for (const { id } of marks) marked.add(id);
    if (marks.length > 0) await stored.promise;
  };
  let left = places;
  const take = async (_signal: AbortSignal, weight = 1) => {
    if (left < weight) return null;
    left -= weight;
    return () => {};
  };
  const seen = { settled: new Map<string, unknown>(), troubles: [] };
  let isDone = false;
  const job = run(emails, dispatch, seen, { inHand: { take }, due: { mark } }).finally(() => {
    isDone = true;
  });
  await until('each to be marked or sent', () => marked.size + seen.settled.size === 2);
  await new Promise(setImmediate);
  expect([marked.size > 0, isDone]).toEqual([true, false]);
  stored.resolve();
  expect(await job).toEqual(done);
});
