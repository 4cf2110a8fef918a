/** The transports of the present plan: opened when the plan names them, drained when it no longer does. */
import { isDeepStrictEqual } from 'node:util';
import type { TransportPlan, TransportSettings } from '../domain/transport-plan.ts';
import type { SmtpTransport } from './smtp-transport.ts';
import type { Transport } from './transport.ts';

export type Transports = AsyncDisposable & {
  readonly plan: TransportPlan;
  /** Null when there is no transport of that name. */
  get(name: string): Transport | null;
  /** Changes to another plan. A transport that is dropped first finishes its messages in hand. */
  update(plan: TransportPlan): void;
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
  const draining = new Set<SmtpTransport>();
  let plan = first;

  /** Opens a transport without connections, until the fleet allots some. */
  function openOne(settings: TransportSettings): SmtpTransport {
    const transport = open(settings);
    transport.allow(0);
    return transport;
  }

  function drain(transport: SmtpTransport): void {
    draining.add(transport);
    void transport.close(drainMs).then(() => draining.delete(transport));
  }

  function update(next: TransportPlan): void {
    plan = next;
    for (const [name, { settings, transport }] of live) {
      if (isSameServer(settings, next.transports[name])) continue;
      live.delete(name);
      drain(transport);
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
    update,
    async [Symbol.asyncDispose]() {
      const all = [...[...live.values()].map(({ transport }) => transport), ...draining];
      await Promise.all(all.map((transport) => transport.close(disposeMs)));
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
