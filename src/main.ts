/** Entry point: handles signals first, because their default would end the process, and then loads the rest, which takes time. */
import type { Signals } from './run.ts';

/** npm forwards a Ctrl-C that the terminal has sent us already: signals this close together count as one. */
const sameSignalMs = 500;

/** The first signal asks for a clean stop, a later one forces it. */
function waitForSignal(): Promise<void> {
  return new Promise((resolve) => {
    let isForced = false;
    const onSignal = () => {
      if (isForced) return void signals.end().finally(() => process.exit(130));
      setTimeout(() => {
        isForced = true;
      }, sameSignalMs).unref();
      resolve();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
}

const signals: Signals = { stopped: waitForSignal(), reload() {}, end: async () => {} };
process.on('SIGHUP', () => signals.reload());

// Not a static import: that would be loaded before the signals are handled.
const { run } = await import('./run.ts');
await run(signals);
