/** One worker's part of a fleet without its queues: real transports to servers of a test, and what all workers share in a real Redis. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { bindDispatch, bindIsConnected } from '../../src/app-dispatch.ts';
import { acceptEmail } from '../../src/domain/email.ts';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import type { Lane } from '../../src/domain/lane.ts';
import { type Route, recordOf, type TransportPlan, type TransportSettings } from '../../src/domain/transport-plan.ts';
import type { TransportState } from '../../src/domain/transport-state.ts';
import { openTransports, type Transports } from '../../src/outbound/transports.ts';
import type { Dispatched, Outgoing } from '../../src/pipeline/dispatch.ts';
import { maintainTransports, makeMemory } from '../../src/pipeline/maintain-transports.ts';
import { probeTransport } from '../../src/pipeline/probe-transport.ts';
import { openAllotments } from '../../src/store/allotments.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { openDue } from '../../src/store/due.ts';
import { openEmails } from '../../src/store/emails.ts';
import { openTransportStates } from '../../src/store/transport-states.ts';
import { emailRequest } from './requests.ts';
import { openTransport, settingsTo, type TransportOptions } from './smtp-transport.ts';

export const newId = (kind: IdPrefix) => makeId(kind, Date.now(), randomBytes(10));
const policy = { scheduleMs: [1_000], maxAgeMs: 3_600_000 };

/** Transports by name: to this port, with what else is said of it. */
export type Servers = Readonly<Record<string, { readonly port: number } & Partial<TransportSettings>>>;

export function planTo(servers: Servers, routes: Readonly<Record<string, Route>>): TransportPlan {
  const transports = Object.entries(servers).map(([name, { port, ...more }]): [string, TransportSettings] => [
    name,
    settingsTo(port, { ...more, name }),
  ]);
  return { transports: recordOf(transports), routes: recordOf(Object.entries(routes)), rules: [] };
}

/** A route that tries its transports in this order. */
export const failover = (...transports: string[]): Route => ({ kind: 'failover', transports, reserve: 0.25 });

/** What the whole fleet knows of transports, as tests ask for it. @param redis opened by the time they do */
export function fleetOf(redis: () => Redis) {
  const states = () => openTransportStates(redis());
  async function parkAll(lane: Lane, name: string, ids: readonly string[]): Promise<void> {
    const emails = ids.map((id, n) => ({ id, lane, dueAt: n + 1, endsAt: Date.now() + 3_600_000 }));
    await openBudgets(redis()).park(name, emails, Date.now());
  }
  return {
    states,
    park: (name: string, ...ids: string[]) => parkAll('transactional', name, ids),
    parkBulk: (name: string, ...ids: string[]) => parkAll('bulk', name, ids),
    /** What is due now, and so was let go. */
    letGo: async (now = Date.now()) =>
      (await openDue(redis()).take('transactional', newId('jb'), 1_000, 1_000, now + 1)).ids.toSorted(),
    event: () => ({ id: newId('ev'), at: Date.now() }),
    stateOf: async (name: string) => (await states().read([name])).get(name),
    parkedFor: async (name: string) => (await openBudgets(redis()).countParked([name])).get(name),
  };
}

export type TestWorker = AsyncDisposable & {
  readonly transports: Transports;
  readonly known: Map<string, TransportState>;
  /** How often it asked to be tended. */
  readonly wakes: number;
  /** What came of its probes: null where one went well. */
  readonly probes: readonly (string | null)[];
  /** What failed beside an attempt. */
  readonly troubles: readonly unknown[];
  /** What it tells the fleet beside the mail has been told. */
  told(): Promise<void>;
  /** An email stored now, and one attempt at it. */
  send(given?: object, claim?: () => Promise<boolean>, more?: Partial<Outgoing>): Promise<Sent>;
  /** The same, with the attempt at another time. */
  sendAt(now: number, given?: object): Promise<Sent>;
  /** @returns how long it would wait at most */
  tend(now?: number): Promise<number>;
};

export type Sent = { readonly id: string; readonly outcome: Dispatched };

/** @param options of its transports */
export function openTestWorker(
  redis: Redis,
  plan: TransportPlan,
  worker = 'w1',
  options: TransportOptions = {},
): TestWorker {
  const emails = openEmails(redis);
  const states = openTransportStates(redis);
  const budgets = openBudgets(redis);
  const allotments = openAllotments(redis);
  const transports = openTransports(plan, (settings) => openTransport(settings, options), []);
  const known = new Map<string, TransportState>();
  const hanging = new Set<string>();
  const fleet = { transports, known, hanging, states, budgets, allotments };
  const stop = new AbortController();
  const memory = makeMemory();
  let wakes = 0;
  const probes: (string | null)[] = [];
  const troubles: unknown[] = [];
  const told: Promise<void>[] = [];
  const beside = (work: Promise<void>) => void told.push(work);
  const wake = () => {
    wakes += 1;
  };

  async function sendAt(now: number, given: object, claim = async () => true, more: Partial<Outgoing> = {}) {
    const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't', ...given });
    const email = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
    await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
    const loaded = await emails.load(email.facts.id);
    if (loaded === null) throw new Error('It is not stored');
    const raw = Buffer.from('Subject: s\r\n\r\nHello');
    const to = loaded.state.recipients.map(({ address }) => address);
    const message = { emailId: email.facts.id, envelope: { from: 'a@x.co', to }, raw };
    const outline = { email: loaded, to, leastBytes: raw.length };
    const parcel: Outgoing = { ...outline, isSandbox: false, message: async () => message, claim, ...more };
    const policies = { transactional: policy, bulk: policy };
    const onTrouble = (_: string, error: unknown) => troubles.push(error);
    const dispatch = bindDispatch(fleet, { policies, inBackground: beside, wake, onTrouble, newId, now: () => now });
    const outcome = await dispatch(parcel);
    return { id: email.facts.id, outcome };
  }

  return {
    transports,
    known,
    probes,
    troubles,
    get wakes() {
      return wakes;
    },
    told: async () => void (await Promise.all(told)),
    send: (given = {}, claim, more) => sendAt(Date.now(), given, claim, more),
    sendAt: (now, given = {}) => sendAt(now, given),
    async tend(now = Date.now()) {
      let waitMs = 0;
      const wait = async (_leastMs: number, mostMs: number) => {
        waitMs = mostMs;
      };
      const report = ({ fault }: { fault: { detail: string } | null }) => probes.push(fault?.detail ?? null);
      const nudge = { nudge: wake, wait };
      const onTrouble = (_: string, error: unknown) => {
        throw error;
      };
      const isConnected = bindIsConnected(fleet, () => now);
      const probeDeps = { ...fleet, isConnected, wake, report, onTrouble, newId, now: () => now };
      const probe = probeTransport.bind(null, probeDeps);
      const deps = { ...fleet, memory, nudge, worker, probe, now: () => now };
      await maintainTransports(deps, stop.signal);
      return waitMs;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await transports[Symbol.asyncDispose]();
    },
  };
}
