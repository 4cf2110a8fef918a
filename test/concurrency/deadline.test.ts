/** A deadline is one for all who wait by it, and what outlasts it is waited for no longer. */
import { expect, it } from 'vitest';
import { makeDeadline, waitUntil } from '../../src/concurrency/deadline.ts';
import { openLoop } from '../../src/concurrency/loop.ts';

const never = new AbortController().signal;

it('begins with the first caller, and later callers have what is left of it', async () => {
  const deadline = makeDeadline(0);
  const over = deadline.begin();
  await waitUntil(new Promise(() => {}), over);
  expect(over.aborted).toBe(true);
  expect(deadline.begin()).toBe(over);
});

it('work is waited for until it is done or any of its ends has come, before or meanwhile', async () => {
  const done: string[] = [];
  const work = Promise.resolve().then(() => done.push('work'));
  await waitUntil(work, never, never);
  expect(done).toEqual(['work']);
  const hangs = new Promise(() => {});
  await waitUntil(hangs, AbortSignal.abort(), never);
  const later = new AbortController();
  const waiting = waitUntil(hangs, never, later.signal);
  later.abort();
  await waiting;
});

it('every waiting caller gets the error of work that fails', async () => {
  await expect(waitUntil(Promise.reject(new Error('broken')), never)).rejects.toThrow('broken');
});

it('a loop begins no step once it has to stop, whenever it is disposed of', async () => {
  const stopping = new AbortController();
  let steps = 0;
  const begun = Promise.withResolvers<void>();
  const step = async (stop: AbortSignal) => {
    steps += 1;
    begun.resolve();
    await waitUntil(new Promise(() => {}), stop);
  };
  await using _loop = openLoop('test', step, { everyMs: 0, stopping: stopping.signal, onTrouble() {} });
  await begun.promise;
  stopping.abort();
  await new Promise(setImmediate);
  expect(steps).toBe(1);
});
