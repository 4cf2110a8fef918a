/** The clock of the fleet as a process keeps it: whatever its own shows, and however readings scatter, no time is before one that it told. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeFleetClock } from '../src/chance.ts';
import { standStillMs } from '../src/domain/clock.ts';

const redisAt = 1_700_000_000_000;

/** A machine whose clock is years behind that of Redis. */
function openMachine() {
  let steady = 5_000.25;
  const clock = makeFleetClock(
    () => 1_000,
    () => steady,
  );
  return {
    clock,
    pass(ms: number) {
      steady += ms;
    },
    /** Redis shows `at` now. */
    read: (at: number, roundTripMs = 0) => clock.keep({ aheadMs: at - steady, roundTripMs }),
  };
}

it('before the first reading it equals the clock of the machine, and continues steadily from each reading', () => {
  const { clock, pass, read } = openMachine();
  expect(clock.now()).toBe(1_000);
  read(redisAt);
  expect(clock.now()).toBe(redisAt);
  pass(60_000.5);
  expect(clock.now()).toBe(redisAt + 60_000);
  read(redisAt + 3_600_000);
  expect(clock.now()).toBe(redisAt + 3_600_000);
});

it('a reading that agrees changes nothing, and one that disagrees corrects the clock', () => {
  const { clock, read } = openMachine();
  read(redisAt);
  read(redisAt + 20, 40);
  expect(clock.now()).toBe(redisAt);
  read(redisAt + 21, 40);
  expect(clock.now()).toBe(redisAt + 21);
});

it('a small correction back is waited out, and a clock of Redis that was put back is followed', () => {
  const { clock, pass, read } = openMachine();
  read(redisAt);
  expect(clock.now()).toBe(redisAt);
  read(redisAt - standStillMs);
  expect(clock.now()).toBe(redisAt);
  pass(standStillMs + 1);
  expect(clock.now()).toBe(redisAt + 1);
  read(redisAt - 600_000);
  expect(clock.now()).toBe(redisAt - 600_000);
});

it('never goes back, however readings scatter', () => {
  const step = fc.record({
    passMs: fc.double({ min: 0, max: 10_000, noNaN: true }),
    wrongMs: fc.double({ min: -standStillMs / 2, max: standStillMs / 2, noNaN: true }),
    roundTripMs: fc.double({ min: 0, max: standStillMs, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { clock, pass, read } = openMachine();
      let [at, told] = [redisAt, 0];
      read(at);
      for (const { passMs, wrongMs, roundTripMs } of steps) {
        pass(passMs);
        at += passMs;
        read(at + wrongMs, roundTripMs);
        const now = clock.now();
        expect(now).toBeGreaterThanOrEqual(told);
        expect(Number.isInteger(now)).toBe(true);
        told = now;
      }
    }),
  );
});
