/** Reports: what everything in hand meets at once is one line, what one email met is its own, and no line tells an address. */
import { expect, it } from 'vitest';
import { decide } from '../../src/domain/decide.ts';
import { acceptEmail } from '../../src/domain/email.ts';
import { unmade } from '../../src/domain/outcome.ts';
import { redisTroubleOf } from '../../src/store/redis.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { openMeters } from '../../src/telemetry/meters.ts';
import { openReports } from '../../src/telemetry/report.ts';
import { numberOf, readSamples } from '../support/exposition.ts';
import { leaks, linesOf, reportNames } from '../support/reports.ts';
import { emailRequest } from '../support/requests.ts';

function openTroubles(monotonicNow = () => 0) {
  const lines: object[] = [];
  const log = { error: (fields: object) => lines.push(fields) } as unknown as Log;
  const { trouble } = openReports(log, openMeters(), { now: Date.now, monotonicNow }, redisTroubleOf);
  return { lines, trouble };
}

it('each part reports a full Redis once, however many emails and scripts meet it', () => {
  const { lines, trouble } = openTroubles();
  const full = (script: string) => new Error(`OOM command not allowed. script: ${script}, on @user_script:1.`);
  for (let n = 0; n < 50; n++)
    for (const part of ['deliver', 'send slice']) trouble(part, full(`s${n % 2}`), { email: `em_${n}` });
  expect(lines).toEqual(['deliver', 'send slice'].map((part) => ({ part, error: full('s0').message })));
});

it('an email that cannot be read is reported for each email', () => {
  const { lines, trouble } = openTroubles();
  for (const email of ['em_1', 'em_2']) trouble('deliver', new Error('It cannot be read'), { email });
  expect(lines).toEqual(['em_1', 'em_2'].map((email) => ({ part: 'deliver', email, error: 'It cannot be read' })));
});

it('the same trouble of one email is logged once a minute, with the number of occurrences', () => {
  let now = 0;
  const { lines, trouble } = openTroubles(() => now);
  for (; now <= 60_000; now += 5_000)
    for (const email of ['em_1', 'em_2']) trouble('deliver', new Error('It cannot be read'), { email });
  const line = (email: string, more: object) => ({ part: 'deliver', email, error: 'It cannot be read', ...more });
  expect(lines).toEqual([{}, { times: 12 }].flatMap((more) => [line('em_1', more), line('em_2', more)]));
});

it('a message that could not be made is no attempt of the transport that was chosen for it', async () => {
  const lines: object[] = [];
  const write = (fields: object) => void lines.push(fields);
  const meters = openMeters();
  const clocks = { now: Date.now, monotonicNow: () => 0 };
  const reports = openReports({ info: write, warn: write, error: write }, meters, clocks, redisTroubleOf);
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' });
  const email = { ...acceptEmail(request, { id: 'em_1', keyId: 'k', now: 1 }), version: 1, handOver: null };
  const what = unmade('ses', 'its content is gone');
  const settled = { email, what, decision: decide(email, what, { scheduleMs: [], maxAgeMs: 1_000 }, 1, 0) };
  reports.settled(settled);
  reports.slice({
    take: { campaignId: 'cm_1', slice: 0 },
    settled: [settled],
    isHeldUp: false,
    waitsFor: new Set(),
    ms: 1,
  });
  expect(lines).toMatchObject([{ outcome: 'undeliverable', detail: 'its content is gone', transport: undefined }, {}]);
  const samples = readSamples(await meters.render(null));
  expect(numberOf(samples, 'postrider_attempts_total')).toBeUndefined();
});

it.each(reportNames)('no line of %s has an address that a server or an error named', (name) => {
  expect(JSON.stringify(linesOf(name))).not.toMatch(leaks);
});
