/** The transports of the present plan: opened when the plan names them, drained when it no longer does. */
import { isDeepStrictEqual } from 'node:util';
import type { TransportPlan, TransportSettings } from '../domain/transport-plan.ts';
import type { SmtpTransport } from './smtp-transport.ts';
import type { Transport } from './transport.ts';

export type Transports = AsyncDisposable & {
  readonly plan: TransportPlan;
  /** Null when there is no transport of that name. */
  get(name: string): Transport | null;
  /** What former transports of that name still have at the server that the plan names now. */
  leftOver(name: string): LeftOver;
  /** Changes to another plan. A transport that is dropped first finishes its messages in hand. */
  update(plan: TransportPlan): void;
};

export type LeftOver = {
  /** As the server counts them: open, being opened, and closing. */
  readonly connections: number;
  readonly busy: number;
  /** The busy connections whose server seems to answer no more. */
  readonly hanging: number;
};

/** RFC 5321 section 4.5.3.2.6: a server may take ten minutes for its last answer. */
const drainMs = 600_000;
/** Short: at dispose the messages have ended already. */
const disposeMs = 1_000;

type Live = { readonly settings: TransportSettings; readonly transport: SmtpTransport };

/** @param fixed transports that exist whatever the plan says */
export function openTransports(
  first: TransportPlan,
  open: (settings: TransportSettings) => SmtpTransport,
  fixed: readonly Transport[],
): Transports {
  const live = new Map<string, Live>();
  const draining = new Set<Live>();
  let plan = first;

  /** Opens a transport without connections, until the fleet allots some. */
  function openOne(settings: TransportSettings): SmtpTransport {
    const transport = open(settings);
    transport.allow(0);
    return transport;
  }

  function drain(former: Live): void {
    draining.add(former);
    void former.transport.close(drainMs).then(() => draining.delete(former));
  }

  function leftOver(name: string): LeftOver {
    const { host, port } = plan.transports[name] ?? {};
    const former = [...draining]
      .filter(({ settings: was }) => was.name === name && was.host === host && was.port === port)
      .map(({ transport }) => transport);
    const sum = (of: (transport: SmtpTransport) => number) => former.reduce((total, one) => total + of(one), 0);
    return {
      connections: sum(({ connections }) => connections),
      busy: sum(({ pool }) => pool.busy),
      hanging: sum(({ pool }) => (pool.isHanging ? pool.busy : 0)),
    };
  }

  function update(next: TransportPlan): void {
    plan = next;
    for (const [name, former] of live) {
      if (isSameServer(former.settings, next.transports[name])) continue;
      live.delete(name);
      drain(former);
    }
    for (const [name, settings] of Object.entries(next.transports)) {
      const transport = live.get(name)?.transport ?? openOne(settings);
      live.set(name, { settings, transport });
    }
  }

  update(first);
  return {
    get plan() {
      return plan;
    },
    get: (name) => fixed.find((transport) => transport.name === name) ?? live.get(name)?.transport ?? null,
    leftOver,
    update,
    async [Symbol.asyncDispose]() {
      const all = [...live.values(), ...draining];
      await Promise.all(all.map(({ transport }) => transport.close(disposeMs)));
      for (const transport of fixed) await transport[Symbol.asyncDispose]();
    },
  };
}

/** Whether the connections may stay. Their number and the rates are not compared: they apply without a reconnect. */
function isSameServer(was: TransportSettings, is: TransportSettings | undefined): boolean {
  return (
    is !== undefined && isDeepStrictEqual({ ...was, rates: [], connections: 0 }, { ...is, rates: [], connections: 0 })
  );
}
