/** dispatch: an email goes over the first transport of its route that can take it, or is parked until one can. */
import { endOf, type RetryPolicy } from '../domain/decide.ts';
import type { Lane } from '../domain/lane.ts';
import { notTaken, type Obstacle, type SettledOutcome, type Withheld } from '../domain/outcome.ts';
import { nextDue } from '../domain/recipient.ts';
import { sandboxTransport } from '../domain/sandbox.ts';
import { type Choice, routeFor } from '../domain/transport-plan.ts';
import type { Message, Outline, Transport } from '../outbound/transport.ts';
import type { Transports } from '../outbound/transports.ts';
import type { DueEmail } from '../store/budgets.ts';
import type { Admission, OutOfService, Refused } from './admit.ts';
import type { Attempt, Sent } from './send-over.ts';

type Deps = {
  transports: Pick<Transports, 'plan' | 'get'>;
  /** Names of transports whose server takes messages and does not answer. */
  hanging: ReadonlySet<string>;
  policies: Readonly<Record<Lane, RetryPolicy>>;
  admit(transport: Transport, outline: Outline, due: DueEmail): Promise<Admission>;
  sendOver(attempt: Attempt): Promise<Sent>;
  park(name: string, due: DueEmail, refused: Refused): Promise<Parked | SettledOutcome>;
  now(): number;
};

/** One email on its way out. */
export type Outgoing = Outline & {
  readonly isSandbox: boolean;
  /** Makes the message, once, when a transport can take it; an outcome when it cannot be made. */
  message(transport: string): Promise<Message | SettledOutcome | Withheld>;
  /** Called right before the body leaves; when it answers false, nothing is sent. `to`: the body leaves to these alone. */
  claim(transport: string, to?: readonly string[]): Promise<boolean>;
  /** Its campaign keeps it while it waits and brings it again, so it is not parked. */
  readonly isOfCampaign?: boolean;
};

/** It waits until its transport can take it: in the store, or with its campaign. */
export type Parked = { readonly kind: 'parked' } | { readonly kind: 'kept'; readonly transport: string };

export type Dispatched = SettledOutcome | Withheld | Parked;

/** What the transports of a route answered when none of them took the email. */
type Passed = {
  /** The fault of the last transport that tried. */
  fault: SettledOutcome | null;
  /** Why the message cannot go over the transports that tried. */
  obstacle: Obstacle | null;
  /** The first transport that was out of service, or the one that had used up its rate. */
  skipped: { readonly name: string; readonly refused: Refused } | null;
};

export async function dispatch(deps: Deps, outgoing: Outgoing): Promise<Dispatched> {
  const choice = choose(deps, outgoing);
  return goOver(deps, outgoing, choice, inOrder(deps, choice), { fault: null, obstacle: null, skipped: null });
}

/** @param names the transports that are asked, after those that have passed */
async function goOver(
  deps: Deps,
  outgoing: Outgoing,
  choice: Choice,
  names: readonly string[],
  passed: Passed,
): Promise<Dispatched> {
  const due = dueOf(deps, outgoing);
  for (const name of names) {
    const transport = deps.transports.get(name);
    const admission = transport === null ? gone(name) : await deps.admit(transport, outgoing, due);
    if (admission.kind === 'out_of_service') {
      passed.skipped ??= { name, refused: admission };
      continue;
    }
    if (admission.kind === 'obstacle') {
      passed.obstacle = narrower(passed.obstacle, admission);
      continue;
    }
    if (admission.kind !== 'admitted') {
      const waits = { ...passed, skipped: { name, refused: admission } };
      const taken = admission.kind === 'full' ? null : await takenForOthers(deps, outgoing, choice, waits);
      return taken ?? deps.park(name, due, admission);
    }
    const { reserve } = choice;
    const sent = await deps.sendOver({ outgoing, admitted: admission, reserve, endsAt: due.endsAt });
    if (sent.kind === 'ended') return sent.outcome;
    if (sent.kind === 'fault') passed.fault = sent.fault;
    else passed.obstacle = narrower(passed.obstacle, sent.obstacle);
  }
  return (await takenForOthers(deps, outgoing, choice, passed)) ?? takenByNone(deps, due, passed, choice);
}

/**
 * Those whom an obstacle does not bar do not wait for the transport that the barred ones need. The outcome is theirs: the barred ones come again
 * by themselves. Null when there are no such, or when they have to wait as well: the email then waits for both transports.
 */
async function takenForOthers(
  deps: Deps,
  outgoing: Outgoing,
  choice: Choice,
  { fault, obstacle, skipped }: Passed,
): Promise<Dispatched | null> {
  if (obstacle === null || (fault === null && skipped === null)) return null;
  const to = outgoing.to.filter((address) => !obstacle.recipients.includes(address));
  if (to.length === 0) return null;
  const passed = { fault, obstacle: null, skipped };
  const dispatched = await goOver(deps, onlyTo(outgoing, to), choice, [obstacle.transport], passed);
  if (dispatched.kind === 'parked' || dispatched.kind === 'kept') return null;
  return dispatched.kind === 'withheld' ? dispatched : { to, ...dispatched };
}

function onlyTo(outgoing: Outgoing, to: readonly string[]): Outgoing {
  return {
    ...outgoing,
    to,
    async message(transport) {
      const message = await outgoing.message(transport);
      return 'kind' in message ? message : { ...message, envelope: { ...message.envelope, to } };
    },
    claim: (transport) => outgoing.claim(transport, to),
  };
}

async function takenByNone(deps: Deps, due: DueEmail, passed: Passed, { route }: Choice): Promise<Dispatched> {
  const { fault, obstacle, skipped } = passed;
  // A fault is temporary: while there is one, the obstacle of another transport is not final.
  if (fault !== null) return fault;
  if (skipped !== null) {
    const { name, refused } = skipped;
    // The transports in service cannot take this one message. A campaign that kept it would have them refuse it every second.
    if (obstacle !== null && due.isOfCampaign) return notTaken(name, refused.why);
    return deps.park(name, due, refused);
  }
  if (obstacle === null) throw new Error(`Route ${route} has no transport`);
  return { ...obstacle, kind: 'undeliverable' };
}

function choose({ transports }: Deps, { email: { facts }, isSandbox }: Outgoing): Choice {
  if (isSandbox) return { route: sandboxTransport, transports: [sandboxTransport], reserve: 0 };
  return routeFor(transports.plan, facts);
}

/** Hanging transports are asked last: the email goes another way if there is one, and otherwise waits for a connection as usual. */
function inOrder({ hanging }: Deps, { transports }: Choice): readonly string[] {
  return transports.toSorted((a, b) => Number(hanging.has(a)) - Number(hanging.has(b)));
}

/** The plan changed after the route was chosen. */
function gone(name: string): OutOfService {
  return { kind: 'out_of_service', why: `transport ${name} is gone` };
}

/**
 * The obstacle that bars fewer recipients; the others come again. The sets may overlap or differ: SIZE bars all, SMTPUTF8 may bar those beyond
 * ASCII alone, and a server that closes after it denied relay to some bars just these.
 */
function narrower(one: Obstacle | null, other: Obstacle): Obstacle {
  return one !== null && one.recipients.length <= other.recipients.length ? one : other;
}

function dueOf({ policies, now }: Deps, { email: { facts, state }, isOfCampaign = false }: Outgoing): DueEmail {
  const { id, lane } = facts;
  return { id, lane, dueAt: nextDue(state) ?? now(), endsAt: endOf(state, policies[lane]), isOfCampaign };
}
