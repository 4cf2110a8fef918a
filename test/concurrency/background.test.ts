/** Background: a stop waits for what goes on, and for nothing that has ended. */
import { expect, it, vi } from 'vitest';
import { makeBackground } from '../../src/concurrency/background.ts';

it('has ended once all that goes on has, not before', async () => {
  const background = makeBackground();
  const works = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ends: string[] = [];
  for (const { promise } of works) background.run(promise.then(() => void ends.push('work')));
  const ended = background.ended().then(() => ends.push('all'));
  for (const { resolve } of works) {
    await new Promise(setImmediate);
    resolve();
  }
  await ended;
  expect(ends).toEqual(['work', 'work', 'all']);
});

it('keeps nothing of what has ended', async () => {
  const background = makeBackground();
  const work = Promise.resolve();
  const waits = vi.spyOn(work, 'then');
  background.run(work);
  await new Promise(setImmediate);
  const before = waits.mock.calls.length;
  await background.ended();
  expect(before).toBeGreaterThan(0);
  expect(waits.mock.calls).toHaveLength(before);
});
