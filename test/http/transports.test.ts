/** /v1/transports over HTTP: what is asked of the transports, what is answered, and who may ask. The transports are of this test. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ApiKey, adminKey, hashToken } from '../../src/domain/api-key.ts';
import type { TransportReport } from '../../src/domain/transport-report.ts';
import { closedBreaker } from '../../src/domain/transport-state.ts';
import type { TransportView } from '../../src/http/transport-schemas.ts';
import { transportViewOf } from '../../src/http/transport-view.ts';
import { type Transports, transportRoutes } from '../../src/http/transports.ts';
import { buildTestServer } from '../support/http-server.ts';
import { type ApiClient, apiClient } from '../support/postrider.ts';

const at = Date.parse('2026-11-24T09:30:00Z');

const wellReport: TransportReport = {
  name: 'ses',
  host: 'smtp.example.com:465',
  state: { paused: null, breaker: closedBreaker, brake: null, granted: null },
  factor: 1,
  pool: { connections: 20, granted: null, open: 2, busy: 1, waiting: 0, hanging: 0, workers: 2 },
  limits: [
    { count: 14, windowMs: 1_000 },
    { count: 50_000, windowMs: 86_400_000 },
  ],
  rates: [
    { count: 14, windowMs: 1_000, remaining: null, nextAt: at, resetAt: null },
    { count: 50_000, windowMs: 86_400_000, remaining: 49_000, nextAt: at, resetAt: at + 86_400_000 },
  ],
  parked: { transactional: 0, bulk: 7 },
};
const troubledReport: TransportReport = {
  ...wellReport,
  name: 'backup',
  state: {
    paused: null,
    breaker: {
      kind: 'open',
      reason: 'ECONNREFUSED',
      cause: 'connect',
      since: at,
      tries: 2,
      probeAt: at + 5_000,
      trial: 'unneeded',
    },
    brake: { factor: 0.5, at, of: { host: 'smtp.example.com', port: 587 } },
    granted: null,
  },
  factor: 0.5,
  pool: { ...wellReport.pool, granted: 3 },
};

const well: TransportView = {
  object: 'transport',
  name: 'ses',
  host: 'smtp.example.com:465',
  state: 'ok',
  paused_at: null,
  breaker: { state: 'closed', reason: null, cause: null, since: null, next_probe_at: null },
  brake: { factor: 1 },
  pool: { connections: 20, granted_connections: null, open: 2, busy: 1, waiting: 0, hanging: 0, workers: 2 },
  rates: [
    { limit: 14, window: 'second', remaining: null, reset_at: null },
    { limit: 50_000, window: 'day', remaining: 49_000, reset_at: '2026-11-25T09:30:00.000Z' },
  ],
  parked: { transactional: 0, bulk: 7 },
};
const troubled: TransportView = {
  ...well,
  name: 'backup',
  state: 'degraded',
  brake: { factor: 0.5 },
  pool: { ...well.pool, granted_connections: 3 },
  breaker: {
    state: 'open',
    reason: 'ECONNREFUSED',
    cause: 'connect',
    since: '2026-11-24T09:30:00.000Z',
    next_probe_at: '2026-11-24T09:30:05.000Z',
  },
};

const verification = {
  object: 'transport_verification',
  name: 'ses',
  ok: false,
  ms: 12,
  tls: null,
  detail: 'ECONNREFUSED',
  cause: 'connect',
} as const;

const asked: unknown[][] = [];
let pausedAt: number | null = null;
const isKnown = (name: string) => name === 'ses' || name === 'backup';
let trouble: Error | null = null;

const transports: Transports = {
  async reportTransports(only = ['ses', 'backup']) {
    if (trouble !== null) throw trouble;
    const paused = pausedAt === null ? null : { at: pausedAt, by: 'ak_3' };
    const ses = { ...wellReport, state: { ...wellReport.state, paused } };
    return [ses, troubledReport].filter(({ name }) => only.includes(name));
  },
  async verify(name) {
    asked.push(['verify', name]);
    if (!isKnown(name)) return null;
    return { ms: 12, tls: null, fault: { cause: 'connect', reason: 'ECONNREFUSED' } };
  },
  async pause(name, by) {
    asked.push(['pause', name, by]);
    if (isKnown(name)) pausedAt = at + 60_000;
    return isKnown(name);
  },
  async resume(name) {
    asked.push(['resume', name]);
    if (isKnown(name)) pausedAt = null;
    return isKnown(name);
  },
};

const keys: Readonly<Record<string, Partial<ApiKey>>> = {
  pr_sends: { id: 'ak_1', scopes: ['send'] },
  pr_reads: { id: 'ak_2', scopes: ['read'] },
  pr_manages: { id: 'ak_3', scopes: ['manage'] },
  pr_of_shop: { id: 'ak_4', fromDomains: ['shop.example'] },
  pr_hasty: { id: 'ak_5', rates: [{ count: 1, windowMs: 1_000 }] },
};
const keyOf = new Map(Object.entries(keys).map(([token, key]) => [hashToken(token), { ...adminKey, ...key }]));

const opened = new AsyncDisposableStack();
let url: string;
let api: ApiClient;
beforeAll(async () => {
  const server = opened.use(
    await buildTestServer({
      api: [transportRoutes({ transports })],
      apiKeys: { find: async (hash) => keyOf.get(hash) ?? null },
      rateLimits: {
        take: async (all) => ({
          isAllowed: false,
          windows: all.flatMap(({ rates }) => rates).map((rate) => ({ ...rate, remaining: 0, resetMs: 900 })),
        }),
      },
      isStoreTrouble: (error) => error === trouble,
    }),
  );
  url = await server.listen({ port: 0, host: '127.0.0.1' });
  api = apiClient(url);
});
afterAll(() => opened.disposeAsync());
beforeEach(() => {
  asked.length = 0;
  pausedAt = null;
  trouble = null;
});

const posts = ['verify', 'pause', 'resume'].map((verb) => `/v1/transports/ses/${verb}`);

describe('transports', () => {
  it('are listed by name, and looked at one by one', async () => {
    expect(await api('GET', '/v1/transports')).toMatchObject({
      status: 200,
      body: { object: 'list', has_more: false, data: [troubled, well] },
    });
    expect((await api('GET', '/v1/transports/ses')).body).toEqual(well);
    expect((await api('GET', '/v1/transports/backup')).body).toEqual(troubled);
  });

  it('are verified: the answer is 200 whether it went well or not', async () => {
    expect(await api('POST', '/v1/transports/ses/verify')).toMatchObject({ status: 200, body: verification });
    expect(asked).toEqual([['verify', 'ses']]);
  });

  it('are paused in the name of the key, and resumed, and each answer shows their new state', async () => {
    const manager = apiClient(url, 'pr_manages');
    expect(await manager('POST', '/v1/transports/ses/pause')).toMatchObject({
      status: 200,
      body: { ...well, state: 'paused', paused_at: '2026-11-24T09:31:00.000Z' },
    });
    expect(await manager('POST', '/v1/transports/ses/resume')).toMatchObject({ status: 200, body: well });
    expect(asked).toEqual([
      ['pause', 'ses', 'ak_3'],
      ['resume', 'ses'],
    ]);
  });

  it('that do not exist are not found, whatever is asked of them', async () => {
    const expected = { status: 404, body: { name: 'not_found', detail: 'There is no transport sse' } };
    expect(await api('GET', '/v1/transports/sse')).toMatchObject(expected);
    for (const path of posts) expect(await api('POST', path.replace('ses', 'sse'))).toMatchObject(expected);
  });

  it('cannot be shown while the store is away', async () => {
    trouble = new Error('Connection is closed.');
    expect(await api('GET', '/v1/transports')).toMatchObject({ status: 503, body: { name: 'service_unavailable' } });
  });
});

describe('a key', () => {
  const statuses = async (token: string | null) => {
    const client = apiClient(url, token);
    const got = [await client('GET', '/v1/transports'), await client('GET', '/v1/transports/ses')];
    for (const path of posts) got.push(await client('POST', path));
    return got.map(({ status }) => status);
  };

  it.each([
    ['pr_sends', 403, 403],
    ['pr_reads', 200, 403],
    ['pr_manages', 403, 200],
    ['pr_of_shop', 403, 403],
    ['pr_hasty', 429, 429],
    ['pr_unknown', 401, 401],
    [null, 401, 401],
  ])('%s gets %i for reading and %i for actions', async (token, toGet, toPost) => {
    expect(await statuses(token)).toEqual([toGet, toGet, toPost, toPost, toPost]);
    expect(asked).toHaveLength(toPost === 200 ? 3 : 0);
  });
});

it('a transport is hanging while nothing that is in hand anywhere is answered, unless it is out of service for all', () => {
  const pool = { ...wellReport.pool, busy: 2, hanging: 2 };
  const stateOf = (report: TransportReport) => transportViewOf(report).state;
  expect(stateOf({ ...wellReport, pool })).toBe('hanging');
  expect(stateOf({ ...wellReport, pool: { ...pool, busy: 3 } })).toBe('ok');
  expect(stateOf({ ...troubledReport, pool })).toBe('degraded');
});
