/** Repeats a step while Redis is in trouble: the answer of a server must not be lost because Redis takes no writes for a while. */
import { setTimeout as sleep } from 'node:timers/promises';

type Options = {
  /** Names the step where trouble is reported. */
  readonly part: string;
  isTrouble(error: unknown): boolean;
  onTrouble(part: string, error: unknown): void;
};

/** Short, so that once Redis is back the step is done before another worker takes over its job. */
const againMs = 200;

/** Repeats `step` until Redis takes it. If the process stops meanwhile, the step ends like any work that outlasts the stop. */
export function insist<A extends unknown[], R>(
  step: (...args: A) => Promise<R>,
  { part, isTrouble, onTrouble }: Options,
): (...args: A) => Promise<R> {
  return async (...args) => {
    for (let isTold = false; ; isTold = true) {
      try {
        return await step(...args);
      } catch (error) {
        if (!isTrouble(error)) throw error;
        if (!isTold) onTrouble(part, error);
        await sleep(againMs);
      }
    }
  };
}
