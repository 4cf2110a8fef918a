/** Places: so much at once, in the order of coming, and what leaves the queue leaves no gap. */
import { expect, it, onTestFinished, vi } from 'vitest';
import { makeSemaphore } from '../../src/concurrency/semaphore.ts';

const patient = () => new AbortController().signal;

/** Notes who has come in, in order. */
function openRoom(count: number) {
  const places = makeSemaphore(count);
  const inside: string[] = [];
  const leave = new Map<string, () => void>();
  const come = (name: string, weight?: number, signal = patient()) =>
    places.take(signal, weight).then((giveBack) => {
      inside.push(giveBack === null ? `${name} gave up` : name);
      if (giveBack !== null) leave.set(name, giveBack);
    });
  return { come, inside, leave: (name: string) => leave.get(name)?.() };
}

it('a heavy caller waits for enough places, and no later caller passes it', async () => {
  const room = openRoom(10);
  await Promise.all([room.come('a', 6), room.come('b', 4)]);
  const waiting = [room.come('heavy', 8), room.come('light', 1)];
  room.leave('b');
  await Promise.resolve();
  expect(room.inside).toEqual(['a', 'b']);
  room.leave('a');
  await Promise.all(waiting);
  expect(room.inside).toEqual(['a', 'b', 'heavy', 'light']);
});

it('work that asks for more places than there are gets all of them, alone', async () => {
  const room = openRoom(10);
  await room.come('giant', 1_000);
  const next = room.come('next');
  expect(room.inside).toEqual(['giant']);
  room.leave('giant');
  await next;
  expect(room.inside).toEqual(['giant', 'next']);
});

it('a caller that gives up lets in those after it', async () => {
  const room = openRoom(10);
  await room.come('a', 6);
  const impatience = new AbortController();
  const heavy = room.come('heavy', 8, impatience.signal);
  const light = room.come('light', 4);
  impatience.abort();
  await Promise.all([heavy, light]);
  expect(room.inside.toSorted()).toEqual(['a', 'heavy gave up', 'light']);
  expect(await makeSemaphore(1).take(AbortSignal.abort())).toBeNull();
});

it('a wait with a longest time ends by itself and lets in those after it; one that got its places keeps them', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const places = makeSemaphore(10);
  const signal = patient();
  const giveBack = await places.take(signal, 6, 2_000);
  const heavy = places.take(signal, 8, 2_000);
  const light = places.take(signal, 4);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await heavy).toBeNull();
  expect(await light).not.toBeNull();
  const next = places.take(signal, 6, 2_000);
  giveBack?.();
  expect(await next).not.toBeNull();
  expect(vi.getTimerCount()).toBe(0);
});
