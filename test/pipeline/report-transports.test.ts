/** What is reported of the connections of a transport. */
import { expect, it } from 'vitest';
import { freshState } from '../../src/domain/standing.ts';
import type { TransportState } from '../../src/domain/transport-state.ts';
import { reportTransports } from '../../src/pipeline/report-transports.ts';
import { settingsTo } from '../support/smtp-transport.ts';

const now = Date.parse('2026-11-24T09:30:00Z');

const settings = settingsTo(25, { name: 'ses', connections: 100 });
const granted = { connections: 10, at: now, of: settings };

async function reportIn(state: Partial<TransportState>, at = now) {
  const [report] = await reportTransports({
    plans: { plan: { transports: { ses: settings }, routes: {}, rules: [] } },
    transportStates: { read: async () => new Map([['ses', { ...freshState, ...state }]]) },
    allotments: { pools: async () => new Map() },
    budgets: { countParked: async () => new Map(), left: async () => [] },
    now: () => at,
  });
  return report;
}

const poolIn = async (state: Partial<TransportState>, at = now) => (await reportIn(state, at))?.pool;

it('a server that refused a connection grants fewer than configured, until as many may be tried again', async () => {
  expect(await poolIn({})).toMatchObject({ connections: 100, granted: null });
  expect(await poolIn({ granted })).toMatchObject({ connections: 100, granted: 10 });
  expect(await poolIn({ granted }, now + 10 * 60_000)).toMatchObject({ connections: 100, granted: null });
});

it('a brake is no refusal of connections', async () => {
  const brake = { factor: 1 / 64, at: now, of: settings };
  expect(await reportIn({ brake })).toMatchObject({ factor: 1 / 64, pool: { granted: null } });
  expect(await poolIn({ brake, granted })).toMatchObject({ granted: 10 });
});

it('a brake of the server that the transport had before is none of the present one', async () => {
  for (const before of [{ host: 'mx.example.org' }, { port: 26 }])
    expect(await reportIn({ brake: { factor: 1 / 64, at: now, of: { ...settings, ...before } } })).toMatchObject({
      factor: 1,
    });
});
