/** Meters: what comes in milliseconds is told in seconds, no label has a value that a caller chose, and what is counted of a transport goes with it. */
import { expect, it } from 'vitest';
import { lanes } from '../../src/domain/lane.ts';
import { openMeters } from '../../src/telemetry/meters.ts';
import { numberOf, readSamples } from '../support/exposition.ts';

it('every time is reported in seconds', async () => {
  const meters = openMeters();
  const ms = 1_500;
  meters.request('/', 'GET', 200, ms);
  meters.attempt('relay', 'sent', { host: null, tls: null, ms: { connect: ms, envelope: ms, body: ms } });
  meters.queueWait('bulk', ms);
  meters.acceptToSent('bulk', ms);
  meters.posted(200, ms);
  meters.clockDifference(ms);
  const level = { waiting: 1, oldestMs: ms };
  const lanes = { transactional: level, bulk: level };
  const samples = readSamples(
    await meters.render({ lanes, transports: [], unnotified: 0, memoryBytes: 0, webhooks: level }),
  );
  const times = samples.filter(
    ({ name, value }) => /(?:_seconds_sum|waiting_seconds|difference_seconds)$/.test(name) && value !== 0,
  );
  const ours = times.filter(({ name }) => !/^postrider_(?:process|nodejs)_/.test(name));
  expect(ours.map(({ name }) => name).sort()).toEqual([
    'postrider_accept_to_sent_seconds_sum',
    'postrider_clock_difference_seconds',
    'postrider_http_request_seconds_sum',
    ...['transactional', 'bulk'].map(() => 'postrider_oldest_waiting_seconds'),
    'postrider_queue_wait_seconds_sum',
    ...['connect', 'envelope', 'body'].map(() => 'postrider_smtp_phase_seconds_sum'),
    'postrider_webhook_oldest_waiting_seconds',
    'postrider_webhook_post_seconds_sum',
  ]);
  expect(ours.filter(({ value }) => value !== 1.5)).toEqual([]);
});

const level = { waiting: 0, oldestMs: 0 };
const levels = {
  ...{ lanes: { transactional: level, bulk: level }, transports: [], unnotified: 0, memoryBytes: 0, webhooks: level },
};

it('a process that accepts mail reports the lanes it accepts, and none while Redis is away', async () => {
  const meters = openMeters();
  const taking = async (given: typeof levels | null) => {
    const samples = readSamples(await meters.render(given));
    return lanes.map((lane) => numberOf(samples, 'postrider_taking_mail', { lane }));
  };
  expect(await taking(levels)).toEqual([undefined, undefined]);
  meters.watchIntake(() => ['transactional']);
  expect(await taking(levels)).toEqual([1, 0]);
  expect(await taking(null)).toEqual([0, 0]);
});

it('a method that no route has counts as other', async () => {
  const meters = openMeters();
  meters.request('unknown', 'PROPFIND', 404, 1);
  const samples = readSamples(await meters.render(null));
  expect(numberOf(samples, 'postrider_http_requests_total', { method: 'other' })).toBe(1);
  expect(numberOf(samples, 'postrider_http_requests_total', { method: 'PROPFIND' })).toBeUndefined();
});

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
