/** The first that runs: heeds signals, whose default would end the process, and then loads all that takes its time to load. */
import type { Signals } from './run.ts';

/** npm passes on a Ctrl-C that the terminal has already sent us: signals this close together are one. */
const sameSignalMs = 500;

/** The first signal asks for a clean stop, a later one forces it. */
function waitForSignal(): Promise<void> {
  return new Promise((resolve) => {
    let forcedFrom = Number.POSITIVE_INFINITY;
    const onSignal = () => {
      if (performance.now() > forcedFrom) process.exit(130);
      forcedFrom = Math.min(forcedFrom, performance.now() + sameSignalMs);
      resolve();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
}

const signals: Signals = { stopped: waitForSignal(), reload() {} };
process.on('SIGHUP', () => signals.reload());

// Not imported above: that would come first.
const { run } = await import('./run.ts');
await run(signals);
