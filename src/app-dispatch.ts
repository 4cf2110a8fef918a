/** Composition of dispatch: the stages by which an email goes over a transport, and what they share. */
import type { Fleet } from './app-fleet.ts';
import type { RetryPolicy } from './domain/decide.ts';
import type { Lane } from './domain/lane.ts';
import { admit } from './pipeline/admit.ts';
import { dispatch } from './pipeline/dispatch.ts';
import { isConnected } from './pipeline/is-connected.ts';
import { learn } from './pipeline/learn.ts';
import { park } from './pipeline/park.ts';
import { sendOver } from './pipeline/send-over.ts';
import { tellFleet } from './pipeline/tell-fleet.ts';

/** A stage with its dependencies bound. */
export type Bound<F> = F extends (deps: never, ...rest: infer Rest) => infer R ? (...rest: Rest) => R : never;

type Terms = {
  readonly policies: Readonly<Record<Lane, RetryPolicy>>;
  inBackground(work: Promise<void>): void;
  wake(): void;
  onTrouble(part: string, error: unknown): void;
  newId(prefix: 'ev'): string;
  now(): number;
};

export const bindIsConnected = (fleet: Pick<Fleet, 'transports' | 'allotments'>, now: () => number) =>
  isConnected.bind(null, { ...fleet, now });

export function bindDispatch(fleet: Fleet, { policies, inBackground, wake, onTrouble, newId, now }: Terms) {
  const fleetDeps = { ...fleet, learn: learn.bind(null, fleet), now };
  const telling = tellFleet.bind(null, { ...fleetDeps, isConnected: bindIsConnected(fleet, now), wake, newId });
  return dispatch.bind(null, {
    ...fleet,
    policies,
    now,
    admit: admit.bind(null, fleetDeps),
    sendOver: sendOver.bind(null, { ...fleetDeps, tellFleet: telling, inBackground, onTrouble }),
    park: park.bind(null, { ...fleet, wake, now }),
  });
}
