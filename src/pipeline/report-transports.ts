/** report-transports: reports transports for the whole fleet: state, connections, what is left of their rates, and parked mail. */
import { freshState } from '../domain/standing.ts';
import { hostOf, type TransportSettings } from '../domain/transport-plan.ts';
import type { TransportReport } from '../domain/transport-report.ts';
import { brakeFactor, pacedRates, type TransportState } from '../domain/transport-state.ts';
import type { Plans } from '../outbound/plans.ts';
import type { Allotments } from '../store/allotments.ts';
import type { Budgets } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  plans: Pick<Plans, 'plan'>;
  transportStates: Pick<TransportStates, 'read'>;
  allotments: Pick<Allotments, 'pools'>;
  budgets: Pick<Budgets, 'countParked' | 'left'>;
  now(): number;
};

/** @param only names to report, as far as the plan has them; all transports of the plan when left out */
export async function reportTransports(deps: Deps, only?: readonly string[]): Promise<readonly TransportReport[]> {
  const { transports } = deps.plans.plan;
  const all = (only ?? Object.keys(transports)).flatMap((name) => transports[name] ?? []);
  const names = all.map(({ name }) => name);
  const now = deps.now();
  const [states, pools, parked] = await Promise.all([
    deps.transportStates.read(names),
    deps.allotments.pools(names, now),
    deps.budgets.countParked(names),
  ]);
  const reports = all.map(async (settings): Promise<TransportReport> => {
    const { name } = settings;
    const state = states.get(name) ?? freshState;
    return {
      name,
      host: hostOf(settings),
      state,
      factor: brakeFactor(state.brake, settings, now),
      pool: {
        ...(pools.get(name) ?? noPool),
        connections: settings.connections,
        granted: grantedOf(settings, state, now),
      },
      limits: settings.rates,
      rates: await deps.budgets.left(name, pacedRates(settings, state, now).rates, now),
      parked: parked.get(name) ?? { transactional: 0, bulk: 0 },
    };
  });
  return Promise.all(reports);
}

/** The brake left out: it is reported by itself. */
function grantedOf(settings: TransportSettings, { granted }: TransportState, now: number): number | null {
  const { connections } = pacedRates(settings, { brake: null, granted }, now);
  return connections < settings.connections ? connections : null;
}

const noPool = { open: 0, busy: 0, waiting: 0, hanging: 0, workers: 0 };
