/** The plan of delivery as it is configured: one transport by URL, a file that may change, or nothing but the dev inbox. */
import {
  defaultRoute,
  planOf,
  recordOf,
  type TransportPlan,
  type TransportSettings,
} from '../domain/transport-plan.ts';
import { inboxName } from './inbox-transport.ts';
import { openTransportsFile } from './transports-file.ts';

export type Plans = AsyncDisposable & {
  readonly plan: TransportPlan;
  /** Calls `listener` with each plan that takes the place of the one before. */
  follow(listener: (plan: TransportPlan) => void): void;
  /** Reads the file again at once, where there is one. */
  reload(): Promise<void>;
};

type Given = {
  readonly url: TransportSettings | undefined;
  readonly file: string | undefined;
  variable(name: string): string | undefined;
  /** Told of each change of the file: its faults, or none when it was taken up. */
  report(faults: readonly string[]): void;
};

/** @throws when the file is wrong, with every fault */
export async function openPlans({ url, file: path, variable, report }: Given): Promise<Plans> {
  if (path === undefined) return fixedPlan(url === undefined ? inboxPlan : planOf(url));
  const listeners = new Set<(plan: TransportPlan) => void>();
  const file = await openTransportsFile({
    path,
    variable,
    onChange(plan) {
      for (const listener of listeners) listener(plan);
      report([]);
    },
    onFault: report,
  });
  return {
    get plan() {
      return file.plan;
    },
    follow: (listener) => void listeners.add(listener),
    reload: async () => void (await file.reload()),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

/** Without a server everything goes to the dev inbox. */
const inboxPlan: TransportPlan = {
  transports: recordOf([]),
  routes: recordOf([[defaultRoute, { kind: 'failover', transports: [inboxName], reserve: 0 }]]),
  rules: [],
};

function fixedPlan(plan: TransportPlan): Plans {
  return { plan, follow: () => {}, reload: async () => {}, async [Symbol.asyncDispose]() {} };
}
