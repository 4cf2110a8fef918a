/** maintain-transports: reads the fleet's view of each transport, gets this worker its connections, has it probed, and releases parked mail. */
import type { Nudge } from '../concurrency/nudge.ts';
import type { Rate } from '../domain/rate.ts';
import { mostReleased } from '../domain/release.ts';
import { freshState, hasStandIn, isInService, ratesOf, standingOf } from '../domain/standing.ts';
import { routingHash, type TransportPlan, type TransportSettings } from '../domain/transport-plan.ts';
import { isHangingPool } from '../domain/transport-report.ts';
import { isProbeDue, isTrialMissed, isTrialOpen, pacedRates, type TransportState } from '../domain/transport-state.ts';
import type { Transport } from '../outbound/transport.ts';
import type { LeftOver, Transports } from '../outbound/transports.ts';
import type { Allotments, PoolReport } from '../store/allotments.ts';
import type { Budgets } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  transports: Pick<Transports, 'plan' | 'get' | 'leftOver'>;
  /** Written here, read by the stages that send. */
  known: Map<string, TransportState>;
  /** Names of transports whose server takes messages and does not answer. Written here, read by the stages that send. */
  hanging: Set<string>;
  memory: Memory;
  states: Pick<TransportStates, 'read' | 'takeProbe' | 'grant'>;
  allotments: Pick<Allotments, 'allot' | 'leave' | 'pools'>;
  budgets: Pick<Budgets, 'release' | 'parkedFor' | 'unpark' | 'noteRouting' | 'forgetRoutings'>;
  /** It takes as long as it takes, and never rejects. */
  probe(transport: Transport, stop: AbortSignal): Promise<void>;
  nudge: Nudge;
  /** Names this process among the workers. */
  worker: string;
  now(): number;
};

/** What one round remembers for the next. */
type Memory = {
  /** The hash of its routing; null before the first round. */
  routing: string | null;
  /** Transports that mail parked for others could move on to. */
  takers: ReadonlySet<string>;
  /** Transports that an earlier round looked at. */
  readonly met: WeakSet<Transport>;
  /** How many connections each was refused as one too many by then. */
  readonly refusals: WeakMap<Transport, number>;
  /** The connections that this worker was last allotted of each. */
  readonly shares: Map<string, number>;
  /** How many emails were released last as the trial of each, and when, while it stays open. */
  readonly candidates: Map<string, { readonly max: number; readonly at: number }>;
};

export function makeMemory(): Memory {
  return {
    routing: null,
    takers: new Set(),
    met: new WeakSet(),
    refusals: new WeakMap(),
    shares: new Map(),
    candidates: new Map(),
  };
}

/** The states of transports are read this often. A worker that asks for connections gets its share within twice this time. */
const lookEveryMs = 1_000;
/** With more workers than connections, a worker without one parks its mail. The workers with a connection then look this often. */
const shortLookMs = 100;
/** Least wait between rounds: one round releases several emails of a fast transport. */
const leastWaitMs = 50;

/** One round over all transports of the plan, then a wait until there may be more to do. */
export async function maintainTransports(deps: Deps, stop: AbortSignal): Promise<void> {
  const { plan } = deps.transports;
  const names = Object.keys(plan.transports);
  for (const [name, state] of await deps.states.read(names)) deps.known.set(name, state);
  for (const name of deps.known.keys()) if (!names.includes(name)) deps.known.delete(name);
  for (const name of deps.hanging) if (!names.includes(name)) deps.hanging.delete(name);
  for (const name of deps.memory.shares.keys()) if (!names.includes(name)) deps.memory.shares.delete(name);
  const waits = await Promise.all(names.map((name) => maintainOne(deps, name, stop)));
  const haveMoved = await moveOn(deps, plan);
  // Each parked email nudges: the least wait lets one round handle several.
  await deps.nudge.wait(leastWaitMs, haveMoved ? Math.min(lookEveryMs, ...waits) : leastWaitMs, stop);
}

/**
 * Releases mail whose transport cannot take it any more when another transport may take it.
 * @returns false when there is more for the next round: a worker that does not tend its transports for seconds is taken for dead
 */
async function moveOn(deps: Deps, plan: TransportPlan): Promise<boolean> {
  const { memory } = deps;
  const names = Object.keys(plan.transports);
  const takers = new Set(names.filter((name) => isWell(deps, name) || hasMissedTrial(deps, name)));
  const routing = routingHash(plan);
  const isNew = memory.routing !== routing;
  // Not those that another worker still has: it would only park again what is released here.
  const former = await deps.budgets.noteRouting(routing, deps.now());
  const isRerouted = former.length > 0 || (isNew && memory.routing !== null);
  const hasChanged = isNew || takers.symmetricDifference(memory.takers).size > 0;
  let haveMoved = true;
  for (const name of await deps.budgets.parkedFor()) {
    const moves = names.includes(name)
      ? isRerouted || (hasChanged && !isWell(deps, name) && hasStandIn(plan, name, takers))
      : await isForsaken(deps, name);
    if (moves && !(await deps.budgets.unpark(name, ratesOf(plan, deps.known, name, deps.now()), deps.now())))
      haveMoved = false;
  }
  if (!haveMoved) return false;
  // Only now: a worker that dies before leaves the mail to the next one.
  await deps.budgets.forgetRoutings(former);
  memory.routing = routing;
  memory.takers = takers;
  return true;
}

function isWell({ known, hanging }: Pick<Deps, 'known' | 'hanging'>, name: string): boolean {
  return isInService(known.get(name) ?? freshState) && !hanging.has(name);
}

/** Then the emails that were released as its trial cannot go over it, as their routes do not lead there. One that can may be any other. */
function hasMissedTrial({ known, now }: Deps, name: string): boolean {
  const { paused, breaker } = known.get(name) ?? freshState;
  return paused === null && isTrialMissed(breaker, now());
}

/** Whether no worker has it in its plan any more. While some still do, they would only park again what others release. */
async function isForsaken({ allotments, worker, now }: Deps, name: string): Promise<boolean> {
  await allotments.leave([name], worker);
  const pools = await allotments.pools([name], now());
  return pools.get(name)?.workers === 0;
}

/** @returns milliseconds until there is more to do */
async function maintainOne(deps: Deps, name: string, stop: AbortSignal): Promise<number> {
  const settings = deps.transports.plan.transports[name];
  const transport = deps.transports.get(name);
  if (settings === undefined || transport === null) return lookEveryMs;
  const state = deps.known.get(name) ?? freshState;
  const now = deps.now();
  const { rates, connections } = pacedRates(settings, state, now);
  const { isHanging } = transport.pool;
  // The server counts what is left of a former transport as well: it takes up a part of this worker's share.
  const leftOver = deps.transports.leftOver(name);
  const hasOthers = (deps.memory.shares.get(name) ?? 0) > leftOver.connections;
  const report = reportOf(transport, leftOver, hasOthers);
  const share = await deps.allotments.allot(name, deps.worker, report, connections, now);
  deps.memory.shares.set(name, share);
  const allowed = Math.max(0, share - leftOver.connections);
  // Paused it has no connection, so that nothing that was admitted before waits for one and then goes.
  transport.allow(state.paused === null ? allowed : 0);
  await noteRefusals(deps, transport, settings, now);
  if (isHanging || (allowed === 0 && (await hangsForOthers(deps, name)))) deps.hanging.add(name);
  else deps.hanging.delete(name);

  // Meanwhile the others are tended.
  if (state.paused === null && (await isOurProbe(deps, transport, state, now))) void deps.probe(transport, stop);
  const standing = standingOf(name, state, transport.pool);
  const isTrial = standing.kind === 'degraded' && isTrialOpen(state.breaker) && allowed > 0;
  if (!isTrial) deps.memory.candidates.delete(name);
  if (standing.kind !== 'open' || allowed === 0) {
    if (isTrial) await releaseTrial(deps, name, rates, now);
    return lookEveryMs;
  }
  const most = mostReleased(transport.pool, rates.length > 0, allowed);
  const { nextAt } = await deps.budgets.release(name, rates, most, now);
  if (nextAt !== null) return nextAt - now;
  const workers = (await deps.allotments.pools([name], now)).get(name)?.workers ?? 1;
  return workers > connections ? shortLookMs : lookEveryMs;
}

/** @param hasOthers this worker may have connections besides the left-over ones: then nobody waits for these, and no mail hangs with them */
function reportOf({ pool }: Transport, leftOver: LeftOver, hasOthers: boolean): PoolReport {
  const { open, busy, waiting, isHanging } = pool;
  return {
    wanted: busy + waiting + leftOver.connections,
    open: open + leftOver.connections,
    busy: busy + leftOver.busy,
    waiting,
    hanging: (isHanging ? busy : 0) + (hasOthers ? 0 : leftOver.hanging),
  };
}

/** Most emails released together as candidates for one trial. */
const mostCandidates = 256;

/**
 * One email is released as the trial; the others wait for its outcome. If none is parked for this transport, one is released for each
 * transport that it can stand in for: mail is parked for the first transport of its route, which may be out of service for days. A trial that
 * is still open a second later was not made: the email cannot go over this transport. Then twice as many are released, as the same ones may
 * come first again. Not sooner: each of them nudges when it is parked again, and they would go round without a pause.
 */
async function releaseTrial(deps: Deps, name: string, rates: readonly Rate[], now: number): Promise<void> {
  const { transports, budgets, memory } = deps;
  const last = memory.candidates.get(name);
  if (last !== undefined && Math.abs(now - last.at) < lookEveryMs) return;
  const max = last === undefined ? 1 : Math.min(2 * last.max, mostCandidates);
  const release = async (from: string, tokensOf: readonly Rate[]) => {
    const { released, left } = await budgets.release(from, tokensOf, { max }, now);
    if (released > 0) memory.candidates.set(name, { max, at: now });
    return released + left > 0;
  };
  if (await release(name, rates)) return;
  for (const other of await budgets.parkedFor()) {
    const isServed = isWell(deps, other) || !hasStandIn(transports.plan, other, new Set([name]));
    // It takes no token of the transport that it is not to go over.
    if (!isServed) await release(other, []);
  }
}

/** The fleet keeps to the connections it has once the server refuses one more. A worker without a connection parks its mail for the others. */
async function noteRefusals(
  { memory, allotments, states, nudge }: Deps,
  transport: Transport,
  { host, port, connections }: TransportSettings,
  now: number,
) {
  const { name, pool } = transport;
  if (pool.refusals === (memory.refusals.get(transport) ?? 0)) return;
  memory.refusals.set(transport, pool.refusals);
  const open = (await allotments.pools([name], now)).get(name)?.open ?? 0;
  if (open === 0) return;
  await states.grant(name, { connections: open, at: now, of: { host, port, connections } });
  nudge.nudge();
}

/** What a worker uses that has no connection of its own to judge by. */
async function hangsForOthers({ allotments, now }: Deps, name: string): Promise<boolean> {
  const pool = (await allotments.pools([name], now())).get(name);
  return pool !== undefined && isHangingPool(pool);
}

/** A transport that is new to this worker may end the trouble, for instance with another password: it is probed at once. */
async function isOurProbe(deps: Deps, transport: Transport, { breaker }: TransportState, now: number) {
  const isNew = !deps.memory.met.has(transport);
  deps.memory.met.add(transport);
  if (breaker.kind === 'open' && isNew) return true;
  return isProbeDue(breaker, now) && deps.states.takeProbe(transport.name, now);
}
