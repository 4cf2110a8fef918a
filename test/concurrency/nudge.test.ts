/** A nudge ends a wait: the one under way, or the next when nobody waits; none is lost, and none makes a wait shorter than it has to be. */
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { makeNudge } from '../../src/concurrency/nudge.ts';

const forEver = 3_600_000;
const never = new AbortController().signal;

/** Whether a promise is settled once everything that is ready has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await new Promise(setImmediate);
  return settled;
}

it('a nudge ends the wait under way', async () => {
  const nudge = makeNudge();
  const wait = nudge.wait(0, forEver, never);
  expect(await isSettled(wait)).toBe(false);
  nudge.nudge();
  await wait;
});

it('a nudge that comes while nobody waits ends the next wait, and only that', async () => {
  const nudge = makeNudge();
  nudge.nudge();
  nudge.nudge();
  await nudge.wait(0, forEver, never);
  const next = nudge.wait(0, forEver, never);
  expect(await isSettled(next)).toBe(false);
  nudge.nudge();
  await next;
});

it('a nudge does not shorten the least wait, and is not lost by coming within it', async () => {
  const nudge = makeNudge();
  const begunAt = performance.now();
  const wait = nudge.wait(30, forEver, never);
  nudge.nudge();
  expect(await isSettled(wait)).toBe(false);
  await wait;
  expect(performance.now() - begunAt).toBeGreaterThanOrEqual(29);
});

it('without a nudge a wait ends by itself, and at once when it is to stop, also within the least wait', async () => {
  const nudge = makeNudge();
  await nudge.wait(5, 10, never);
  const stop = new AbortController();
  const waits = [makeNudge().wait(0, forEver, stop.signal), makeNudge().wait(forEver, forEver, stop.signal)];
  stop.abort();
  await Promise.all(waits);
  await nudge.wait(forEver, forEver, stop.signal);
});

it('leaves no listeners on the signal, however long it goes on', async () => {
  const { signal } = new AbortController();
  const nudge = makeNudge();
  for (let n = 0; n < 5; n++) {
    nudge.nudge();
    await nudge.wait(1, forEver, signal);
    await nudge.wait(0, 1, signal);
  }
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});
