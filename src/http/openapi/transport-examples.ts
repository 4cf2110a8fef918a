/** Examples of transports, and of how verifying one went. */
import type { TransportView, VerifyResult } from '../transport-schemas.ts';
import type { Examples } from './examples.ts';

const ok: TransportView = {
  object: 'transport',
  name: 'ses',
  host: 'email-smtp.eu-west-1.amazonaws.com:465',
  state: 'ok',
  paused_at: null,
  breaker: { state: 'closed', reason: null, cause: null, since: null, next_probe_at: null },
  brake: { factor: 1 },
  pool: { connections: 20, granted_connections: null, open: 6, busy: 4, waiting: 0, hanging: 0, workers: 2 },
  rates: [
    { limit: 14, window: 'second', remaining: null, reset_at: null },
    { limit: 50_000, window: 'day', remaining: 41_882, reset_at: '2026-11-25T09:48:00.000Z' },
  ],
  parked: { transactional: 0, bulk: 310 },
};

const degraded: TransportView = {
  ...ok,
  name: 'backup',
  host: 'mail.example.com:587',
  state: 'degraded',
  breaker: {
    state: 'open',
    reason: '535 5.7.8 Authentication credentials invalid',
    cause: 'login',
    since: '2026-11-24T09:12:40.218Z',
    next_probe_at: '2026-11-24T09:30:12.500Z',
  },
  pool: { connections: 10, granted_connections: null, open: 0, busy: 0, waiting: 0, hanging: 0, workers: 2 },
  rates: [],
  parked: { transactional: 3, bulk: 0 },
};

const crowded: TransportView = { ...ok, pool: { ...ok.pool, granted_connections: 8 } };

const paused: TransportView = { ...ok, state: 'paused', paused_at: '2026-11-24T09:30:00.000Z' };

export const exampleName = ok.name;

export const transportExamples = {
  all: {
    list: { summary: 'One works, one is in trouble', value: { object: 'list', has_more: false, data: [degraded, ok] } },
  },
  one: {
    ok: { summary: 'Ready', value: ok },
    degraded: { summary: 'The server refuses the login', value: degraded },
    crowded: { summary: 'The server takes fewer connections than configured', value: crowded },
  },
  paused: { paused: { summary: 'Paused', value: paused } },
  resumed: { ok: { summary: 'Resumed', value: ok } },
} satisfies Record<string, Examples>;

const verified: VerifyResult = {
  object: 'transport_verification',
  name: exampleName,
  ok: true,
  ms: 212,
  tls: 'TLSv1.3',
  detail: null,
  cause: null,
};

export const verifyExamples: Examples = {
  ok: { summary: 'Success', value: verified },
  refused: {
    summary: 'The server refuses the login',
    value: { ...verified, ok: false, detail: '535 5.7.8 Authentication credentials invalid', cause: 'login' },
  },
  crowded: {
    summary: 'The server works but accepts no more connections',
    value: {
      ...verified,
      ok: false,
      tls: null,
      detail:
        'The server was reached; it takes no more connections at the moment (EPROTOCOL: Invalid greeting: 421 4.7.0 Too many connections)',
    },
  },
};
