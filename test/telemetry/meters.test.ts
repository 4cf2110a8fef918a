/** Meters: what is counted of a transport goes with it. */
import { expect, it } from 'vitest';
import { openMeters } from '../../src/telemetry/meters.ts';

const trace = { host: null, tls: null, ms: { connect: 1, envelope: 1, body: 1 } };

it('the series of a transport that the plan dropped are shown once more, and then no longer', async () => {
  const meters = openMeters();
  let plan = ['first'];
  meters.watchPools(() => plan.map((transport) => ({ transport, open: 1, busy: 0 })), ['sandbox']);
  const named = async (name: string) =>
    (await meters.render(null)).split('\n').filter((line) => line.includes(`transport="${name}"`)).length;
  meters.attempt('sandbox', 'sent', trace);
  meters.attempt('first', 'sent', trace);
  const [first, sandbox] = [await named('first'), await named('sandbox')];
  expect(Math.min(first, sandbox)).toBeGreaterThan(0);
  plan = ['second'];
  meters.attempt('first', 'unknown', trace);
  expect(await named('first')).toBeGreaterThan(0);
  expect(await named('first')).toBe(0);
  // What it had in hand ends later.
  meters.attempt('first', 'sent', trace);
  expect(await named('first')).toBeGreaterThan(0);
  expect(await named('first')).toBe(0);
  expect([(await named('second')) > 0, await named('sandbox')]).toEqual([true, sandbox]);
});
