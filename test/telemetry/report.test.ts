/** Reports of trouble: what everything in hand meets at once is one line, and what one email met is its own. */
import { expect, it } from 'vitest';
import { redisTroubleOf } from '../../src/store/redis.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { openMeters } from '../../src/telemetry/meters.ts';
import { openReports } from '../../src/telemetry/report.ts';

function openTroubles() {
  const lines: object[] = [];
  const log = { error: (fields: object) => lines.push(fields) } as unknown as Log;
  const { trouble } = openReports(log, openMeters(), { now: Date.now, monotonicNow: () => 0 }, redisTroubleOf);
  return { lines, trouble };
}

it('a full Redis is said once by each part, however many emails and scripts meet it', () => {
  const { lines, trouble } = openTroubles();
  const full = (script: string) => new Error(`OOM command not allowed. script: ${script}, on @user_script:1.`);
  for (let n = 0; n < 50; n++)
    for (const part of ['deliver', 'send slice']) trouble(part, full(`s${n % 2}`), { email: `em_${n}` });
  expect(lines).toEqual(['deliver', 'send slice'].map((part) => ({ part, error: full('s0').message })));
});

it('what cannot be read of one email is said of each', () => {
  const { lines, trouble } = openTroubles();
  for (const email of ['em_1', 'em_2']) trouble('deliver', new Error('It cannot be read'), { email });
  expect(lines).toEqual(['em_1', 'em_2'].map((email) => ({ part: 'deliver', email, error: 'It cannot be read' })));
});

it('of a transport in trouble no address is told that its server named', () => {
  const lines: object[] = [];
  const log = { warn: (fields: object) => lines.push(fields) } as unknown as Log;
  const { probed } = openReports(log, openMeters(), { now: Date.now, monotonicNow: () => 0 }, redisTroubleOf);
  probed({ transport: 'relay', ms: 1, fault: { detail: '550 ask ann@x.example' } });
  expect(lines).toEqual([{ transport: 'relay', ms: 1, detail: '550 ask a***@x.example' }]);
});
