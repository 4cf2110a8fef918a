/** Composition of the transports of a worker, and of what it shares about them with the rest of the fleet. */
import type { Common } from './app.ts';
import { monotonicNow, newId, now, rand } from './chance.ts';
import { makeNudge, type Nudge } from './concurrency/nudge.ts';
import { crowdingIn } from './domain/transport-plan.ts';
import type { TransportState } from './domain/transport-state.ts';
import { openInboxTransport } from './outbound/inbox-transport.ts';
import { openSandboxTransport } from './outbound/sandbox-transport.ts';
import { openSmtpTransport } from './outbound/smtp-transport.ts';
import { openTransports, type Transports } from './outbound/transports.ts';
import type { Allotments } from './store/allotments.ts';
import type { Budgets } from './store/budgets.ts';
import type { TransportStates } from './store/transport-states.ts';
import { hasDiedHere } from './worker-name.ts';

/** What a worker knows about the transports, and their state in Redis that all workers share. */
export type Fleet = {
  readonly transports: Transports;
  readonly known: Map<string, TransportState>;
  readonly hanging: Set<string>;
  readonly states: TransportStates;
  readonly budgets: Budgets;
  readonly allotments: Allotments;
};

type Shared = {
  readonly store: Pick<
    Awaited<ReturnType<Common['openStore']>>,
    'inbox' | 'transportStates' | 'budgets' | 'allotments'
  >;
  /** Names this process among the workers. */
  readonly worker: string;
};

type Opened = {
  readonly fleet: Fleet;
  /** Nudged when the plan of transports has changed. */
  readonly nudge: Nudge;
};

/** The transports are closed first, then this worker leaves the allotments. */
export async function openFleet(
  { config, report, meters, plans, tokensOf, opened }: Common,
  { store: { inbox, transportStates, budgets, allotments }, worker }: Shared,
): Promise<Opened> {
  const captured = { capture: inbox.add, newId: () => newId('mi'), now };
  const fixed = [openSandboxTransport({ now }), ...(config.devInbox ? [openInboxTransport(captured)] : [])];
  await allotments.removeDead(Object.keys(plans.plan.transports), (name) => name !== worker && hasDiedHere(name));
  // When Redis is away this fails: the other workers notice by themselves that this one left.
  opened.defer(() => allotments.leave(Object.keys(plans.plan.transports), worker).catch(() => {}));
  const smtpTerms = { ehloName: config.ehloName, tokensOf, now: monotonicNow, rand };
  const transports = opened.use(
    openTransports(plans.plan, (settings) => openSmtpTransport(settings, smtpTerms), fixed),
  );
  report.crowding(crowdingIn(plans.plan, config.WORKER_CONCURRENCY), config.WORKER_CONCURRENCY);
  const pooled = () => Object.keys(transports.plan.transports).flatMap((name) => transports.get(name) ?? []);
  const poolLevels = () => pooled().map(({ name: transport, pool }) => ({ transport, ...pool }));
  const unpooled = fixed.map(({ name }) => name);
  meters.watchPools(poolLevels, unpooled);
  const shared = { states: transportStates, budgets, allotments };
  const fleet = { transports, known: new Map(), hanging: new Set<string>(), ...shared };
  const nudge = makeNudge();
  plans.follow((plan) => {
    transports.update(plan);
    nudge.nudge();
  });
  return { fleet, nudge };
}
