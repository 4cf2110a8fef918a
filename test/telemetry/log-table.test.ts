/** The table of log lines in docs/metrics.md: every line that can be reported has a row, which names all of its fields. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openMeters } from '../../src/telemetry/meters.ts';
import { openReports, type Reports } from '../../src/telemetry/report.ts';

type Line = { readonly msg: string; readonly fields: Readonly<Record<string, unknown>> };

const document = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
const rows = [...document.slice(document.indexOf('## Logs')).matchAll(/^\| (`.*?`) \| .* \|$/gm)];

/** Where a message is written with `…`, that stands for what is around the words. */
function rowsOf(msg: string): readonly string[] {
  const isOf = (pattern: string) => {
    const parts = pattern.split('…').map((part) => RegExp.escape(part));
    return new RegExp(`^${parts.join('.*')}$`).test(msg);
  };
  return rows.flatMap(([row, names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].some(([, it = '']) => isOf(it)) ? [row] : [],
  );
}

const address = 'ann@x.example';
const recipient = { address, status: 'sent', smtp: null, attempts: 1, nextAttemptAt: 0 };
const email = { facts: { id: 'em_1', lane: 'bulk', createdAt: 0 }, state: { since: 0, recipients: [recipient] } };
const decision = { state: { recipients: [recipient] }, again: 1_000 };
const trace = { host: 'h.example', tls: 'TLSv1.3', ms: { connect: 1, envelope: 1, body: 1 } };
const fault = { kind: 'transport_fault', transport: 'a', detail: 'd', trace };
const post = {
  webhook: { id: 'wh_1' },
  delivery: { id: 'wd_1', webhookId: 'msg_1', attempts: 1, nextAt: 1_000, reason: null, parcel: '1-1' },
  result: { status: 200, ms: 1, detail: 'd' },
};
const standing = { server: 'Redis 7', guarantee: 'always', words: 'w', isSound: true, unfit: null, refused: null };

/** How each function of the reports is called, in every way that writes another line. */
const calls: Readonly<Record<keyof Reports, readonly (readonly unknown[])[]>> = {
  request: [
    [{ id: 'rq_1', method: 'GET', route: '/', status: 503, ms: 1, keyId: 'k', refusal: 'redis_away', takesMail: true }],
  ],
  accepted: [[{ requestId: 'rq_1', keyId: 'k', emails: [email] }]],
  settled: [[{ email, what: fault, decision }], [{ email, what: { kind: 'canceled' }, decision }]],
  fetched: [[{ email, host: 'files.example', outcome: 'fetched' }]],
  campaign: [[{ campaignId: 'cm_1', status: 'running', recipients: 1 }]],
  slice: [[{ take: { campaignId: 'cm_1', slice: 0 }, settled: [], isHeldUp: true, ms: 1 }]],
  posted: [[{ ...post, decision: 'again' }], [{ ...post, decision: 'disable' }]],
  probed: [[{ transport: 'a', ms: 1, fault: { detail: 'd' } }]],
  unsuppressed: [[{ suppression: { id: 'sp_1', address, scope: 'all', reason: 'bounce' }, keyId: 'k' }]],
  forgotten: [[{ contents: 1, records: 1 }], [{ campaigns: 1 }]],
  lost: [[{ webhookId: 'wh_1', parcels: 1 }]],
  unreadable: [[['1-1']]],
  plan: [['changed'], ['mended'], ['same'], ['none'], [{ faults: ['f'] }]],
  crowding: [[['a'], 10]],
  redis: [[standing], [{ ...standing, isSound: false }], [{ ...standing, unfit: 'u' }]],
  clock: [
    [9_000, true],
    [0, true],
  ],
  awaited: [
    [null, 'http://h'],
    ['w', 'http://h'],
  ],
  backPressure: [[null], [{ lanes: ['bulk'], reason: 'r' }]],
  stopped: [[{ emails: ['em_1'], posts: 1, isRedisAway: true }]],
  trouble: [['deliver', new Error('e')]],
  reach: [[null], ['w']],
  tokenStored: [['h.example']],
  bug: [[new Error('e'), {}]],
};

function linesOf(name: keyof Reports): readonly Line[] {
  const lines: Line[] = [];
  const write = (fields: Line['fields'], msg: string) => void lines.push({ msg, fields });
  const reports = openReports(
    { info: write, warn: write, error: write },
    openMeters(),
    { now: Date.now, monotonicNow: () => 0 },
    () => null,
  );
  for (const given of calls[name]) Reflect.apply(reports[name], null, given);
  return lines;
}

it.each(Object.keys(calls) as (keyof Reports)[])('every line of %s is in it, with its fields', (name) => {
  const lines = linesOf(name);
  expect(lines.length).toBeGreaterThan(0);
  for (const { msg, fields } of lines) {
    const found = rowsOf(msg);
    expect(found, msg).toHaveLength(1);
    const given = Object.keys(fields).filter((field) => fields[field] !== undefined);
    expect(
      given.filter((field) => !found[0]?.includes(`\`${field}\``)),
      msg,
    ).toEqual([]);
  }
});
