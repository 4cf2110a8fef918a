/** Every line that can be reported: each function of the reports, called in every way that writes another line. */
import { openMeters } from '../../src/telemetry/meters.ts';
import { openReports, type Reports } from '../../src/telemetry/report.ts';

type Line = { readonly msg: string; readonly fields: Readonly<Record<string, unknown>> };

const address = 'quinn@x.example';
/** What a server, a certificate or an error may say. */
const told = '554 5.7.1 <quinn@x.example>: Relay access denied, ask <"quinn lee"@x.example> or o\'quinn@x.example';
/** Of the address: whatever is logged, this must not be in it. */
export const leaks = /quinn/;
const recipient = { address, status: 'sent', smtp: null, attempts: 1, nextAttemptAt: 0 };
const email = { facts: { id: 'em_1', lane: 'bulk', createdAt: 0 }, state: { since: 0, recipients: [recipient] } };
const decision = { state: { recipients: [recipient] }, again: 1_000 };
const trace = { host: 'h.example', tls: 'TLSv1.3', ms: { connect: 1, envelope: 1, body: 1 } };
const fault = { kind: 'transport_fault', transport: 'a', detail: told, trace };
const post = {
  webhook: { id: 'wh_1' },
  delivery: { id: 'wd_1', webhookId: 'msg_1', attempts: 1, nextAt: 1_000, reason: null, parcel: '1-1' },
  result: { status: 200, ms: 1, detail: told },
};
const standing = { server: 'Redis 7', guarantee: 'always', words: 'w', isSound: true, unfit: null, refused: null };

/** How each function of the reports is called, in every way that writes another line. */
const calls: Readonly<Record<keyof Reports, readonly (readonly unknown[])[]>> = {
  request: [
    [{ id: 'rq_1', method: 'GET', route: '/', status: 503, ms: 1, keyId: 'k', refusal: 'redis_away', takesMail: true }],
  ],
  accepted: [[{ requestId: 'rq_1', keyId: 'k', emails: [email] }]],
  settled: [
    [{ email, what: fault, decision }],
    [{ email, what: { ...fault, loggable: told }, decision }],
    [{ email, what: { kind: 'canceled' }, decision }],
  ],
  fetched: [[{ email, host: 'files.example', outcome: 'fetched' }]],
  campaign: [[{ campaignId: 'cm_1', status: 'running', recipients: 1 }]],
  slice: [[{ take: { campaignId: 'cm_1', slice: 0 }, settled: [], isHeldUp: true, waitsFor: new Set(['ses']), ms: 1 }]],
  posted: [
    [{ ...post, decision: 'again' }],
    [{ ...post, decision: 'disable' }],
    [{ ...post, result: null, delivery: { ...post.delivery, reason: told }, decision: 'again' }],
  ],
  probed: [[{ transport: 'a', ms: 1, fault: { detail: told } }]],
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
    [told, 'http://h'],
  ],
  backPressure: [[null], [{ lanes: ['bulk'], reason: 'r' }]],
  stopped: [[{ emails: ['em_1'], posts: 1, isRedisAway: true }]],
  trouble: [['deliver', new Error(told)]],
  reach: [[null], [told]],
  tokenStored: [['h.example']],
  bug: [[new Error(told), {}]],
};

export const reportNames = Object.keys(calls) as (keyof Reports)[];

/** All lines that this function writes. */
export function linesOf(name: keyof Reports): readonly Line[] {
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
