/** The configured plan of delivery: one transport by URL, a file that may change, or only the dev inbox. */
import {
  defaultRoute,
  type PlanReading,
  planOf,
  recordOf,
  type TransportPlan,
  type TransportSettings,
} from '../domain/transport-plan.ts';
import { inboxName } from './inbox-transport.ts';
import { openTransportsFile } from './transports-file.ts';

export type Plans = AsyncDisposable & {
  readonly plan: TransportPlan;
  /** Calls `listener` with each new plan. */
  follow(listener: (plan: TransportPlan) => void): void;
  /** Whether the file is wrong now: then the plan is that of an earlier content. */
  readonly isFileWrong: boolean;
  /** Reads the file again at once, if there is one. The result is reported in any case. */
  reload(): Promise<void>;
};

type Given = {
  readonly url: TransportSettings | undefined;
  readonly file: string | undefined;
  variable(name: string): string | undefined;
  /** Called at each change of the file and after each reload. */
  report(reading: PlanReading): void;
};

/** @throws when the file is wrong, with every fault */
export async function openPlans({ url, file: path, variable, report }: Given): Promise<Plans> {
  if (path === undefined) return fixedPlan(url === undefined ? inboxPlan : planOf(url), report);
  const listeners = new Set<(plan: TransportPlan) => void>();
  const file = await openTransportsFile({
    path,
    variable,
    onChange(plan) {
      for (const listener of listeners) listener(plan);
      report('changed');
    },
    onFault: (faults) => report({ faults }),
    onMended: () => report('mended'),
  });
  return {
    get plan() {
      return file.plan;
    },
    get isFileWrong() {
      return file.isWrong;
    },
    follow: (listener) => void listeners.add(listener),
    async reload() {
      if ((await file.reload()) === 'same') report('same');
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

/** Without a configured server all mail goes to the dev inbox. */
const inboxPlan: TransportPlan = {
  transports: recordOf([]),
  routes: recordOf([[defaultRoute, { kind: 'failover', transports: [inboxName], reserve: 0 }]]),
  rules: [],
};

function fixedPlan(plan: TransportPlan, report: Given['report']): Plans {
  const reload = async () => report('none');
  return { plan, isFileWrong: false, follow: () => {}, reload, async [Symbol.asyncDispose]() {} };
}
