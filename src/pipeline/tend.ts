/** tend: keeps the transports: what the fleet knows of them, how many connections this worker has, probes, and mail that may go on. */
import { freshState, type Standing, standingOf } from '../domain/standing.ts';
import { isProbeDue, pacedRates, type TransportState } from '../domain/transport-state.ts';
import type { Transport } from '../outbound/transport.ts';
import type { Transports } from '../outbound/transports.ts';
import type { Nudge } from '../queue/nudge.ts';
import type { Allotments } from '../store/allotments.ts';
import type { Budgets } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  transports: Pick<Transports, 'plan' | 'get'>;
  /** Written here, for whoever dispatches; emptied when the plan changes. */
  known: Map<string, TransportState>;
  states: Pick<TransportStates, 'read' | 'takeProbe' | 'fault' | 'success'>;
  allotments: Pick<Allotments, 'allot'>;
  budgets: Pick<Budgets, 'release' | 'names' | 'unpark'>;
  nudge: Nudge;
  /** Names this process among the workers. */
  worker: string;
  onTrouble(part: 'probe', error: unknown, fields: { readonly transport: string }): void;
  newId(prefix: 'ev'): string;
  now(): number;
};

/** What others write of a transport is read this often, and workers that ask for connections are told within twice this time. */
const lookEveryMs = 1_000;
/** Mail that waits is let go in steps: fewer than one for each email of a fast transport. */
const leastWaitMs = 50;
/** Emails released in one step. */
const maxReleased = 500;

export async function tend(deps: Deps, stop: AbortSignal): Promise<void> {
  const names = Object.keys(deps.transports.plan.transports);
  const hasReturned = await learn(deps, names);
  const waits = await Promise.all(names.map((name) => tendOne(deps, name, stop)));
  for (const name of await deps.budgets.names()) {
    const state = names.includes(name) ? deps.known.get(name) : undefined;
    // Of a transport that left the plan; or of one that is out of service, when another came back that may stand in for it.
    if (state === undefined || (hasReturned && !isInService(state))) await deps.budgets.unpark(name, deps.now());
  }
  // Nudges come with each email that is parked: what they bring is looked at together.
  await deps.nudge.wait(leastWaitMs, stop);
  const waitMs = Math.min(lookEveryMs, ...waits) - leastWaitMs;
  if (waitMs > 0) await deps.nudge.wait(waitMs, stop);
}

/** @returns whether a transport has come into service since */
async function learn(deps: Deps, names: readonly string[]): Promise<boolean> {
  let hasReturned = false;
  for (const [name, state] of await deps.states.read(names)) {
    const was = deps.known.get(name);
    hasReturned ||= isInService(state) && (was === undefined || !isInService(was));
    deps.known.set(name, state);
  }
  return hasReturned;
}

function isInService({ paused, breaker }: TransportState): boolean {
  return paused === null && breaker.kind === 'closed';
}

/** @returns milliseconds until there is more to do */
async function tendOne(deps: Deps, name: string, stop: AbortSignal): Promise<number> {
  const settings = deps.transports.plan.transports[name];
  const transport = deps.transports.get(name);
  if (settings === undefined || transport === null) return lookEveryMs;
  const state = deps.known.get(name) ?? freshState;
  const now = deps.now();
  const { rates, connections } = pacedRates(settings, state, now);
  const { open, busy, waiting } = transport.pool;
  const report = { wanted: busy + waiting, open, busy, waiting };
  const allowed = await deps.allotments.allot(name, deps.worker, report, connections, now);
  transport.allow(allowed);

  if (state.paused === null && isProbeDue(state.breaker, now) && (await deps.states.takeProbe(name, now)))
    void probe(deps, transport, stop);
  const standing = standingOf(name, state, transport.pool);
  if (!mayRelease(standing, allowed)) return lookEveryMs;
  // Without a rate, connections are the limit: more is let go once nobody waits for one.
  if (rates.length === 0 && transport.pool.waiting > 0) return leastWaitMs;
  const { nextAt } = await deps.budgets.release(name, rates, { max: maxReleased }, now);
  return nextAt === null ? lookEveryMs : nextAt - now;
}

function mayRelease(standing: Standing, allowed: number): boolean {
  return standing.kind === 'open' && allowed > 0;
}

/** Takes as long as it takes; meanwhile the others are tended. */
async function probe(deps: Deps, transport: Transport, stop: AbortSignal): Promise<void> {
  const { name } = transport;
  try {
    const fault = await transport.probe();
    // What ends because we close says nothing of the transport.
    if (stop.aborted) return;
    const event = { id: deps.newId('ev'), at: deps.now() };
    if (fault === null) await deps.states.success(name, 'probe', event);
    else await deps.states.fault(name, { cause: fault.cause, reason: fault.detail }, event);
    deps.nudge.nudge();
  } catch (error) {
    if (!stop.aborted) deps.onTrouble('probe', error, { transport: name });
  }
}
