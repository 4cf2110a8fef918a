/** Repeats a step for as long as the process lives. */
import { setTimeout as sleep } from 'node:timers/promises';

type LoopOptions = {
  /** Wait between steps; 0 for a step that waits by itself. */
  readonly everyMs: number;
  /** When it aborts, the step under way is told to stop and no other begins, also before the loop is disposed of. */
  readonly stopping?: AbortSignal;
  onTrouble(name: string, error: unknown): void;
};

/** Wait after a step threw, which most often means that Redis is away. */
const troubleWaitMs = 1_000;

/** Repeats `step`, one at a time, until disposed; disposing tells the step under way to stop and waits for it. */
export function openLoop(
  name: string,
  step: (stop: AbortSignal) => Promise<void>,
  { everyMs, stopping, onTrouble }: LoopOptions,
): AsyncDisposable {
  const stop = new AbortController();
  stopping?.addEventListener('abort', () => stop.abort(), { once: true });

  async function turn(): Promise<void> {
    while (!stop.signal.aborted) {
      const waitMs = await step(stop.signal).then(
        () => everyMs,
        (error: unknown) => {
          if (!stop.signal.aborted) onTrouble(name, error);
          return Math.max(everyMs, troubleWaitMs);
        },
      );
      if (waitMs > 0) await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  }

  const ended = turn();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}
