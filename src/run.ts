/** Postrider: reads its configuration, opens the app, waits for a signal, closes. */
import { type App, openApp } from './app.ts';
import { ownNow } from './chance.ts';
import { waitUntil } from './concurrency/deadline.ts';
import { type Config, ConfigError, exitConfig, readConfig } from './config.ts';

/** The signals of the process, handled from its first moment on. */
export type Signals = {
  /** Resolves when the process is asked to stop. */
  readonly stopped: Promise<void>;
  /** Called at SIGHUP. Does nothing until the app is open. */
  reload(): void;
  /** Called at a signal that forces the end, which follows. Does nothing until the app is open. */
  end(): Promise<void>;
};

function readConfigOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(exitConfig);
  }
}

async function openOrExit(config: Config, stop: AbortController): Promise<App> {
  try {
    return await openApp(config, stop);
  } catch (error) {
    // A stop ended the start: that is no failure.
    if (stop.signal.aborted) process.exit(0);
    const port = config.ROLES.includes('api') ? 'PORT' : 'HEALTH_PORT';
    const isHost = isHostWrong(error, config.HOST);
    const advice = [
      ...(isHost ? ['Set HOST to an address of this machine'] : []),
      ...(codeOf(error) === 'EADDRINUSE' ? [`Set ${port} to another one, or to 0 for any`] : []),
    ];
    const what = error instanceof Error ? error.message : String(error);
    console.error([`Postrider could not start: ${what}`, ...advice].join('. '));
    // An error with `faults` is about a file of the configuration.
    process.exit(isHost || (error instanceof Error && 'faults' in error) ? exitConfig : 1);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** Whether nothing can listen on `host`: it is no address of this machine, or a name of none. */
function isHostWrong(error: unknown, host: string): boolean {
  if (codeOf(error) === 'EADDRNOTAVAIL') return true;
  return codeOf(error) === 'ENOTFOUND' && error instanceof Error && 'hostname' in error && error.hostname === host;
}

/** Time to close connections after the work has ended. */
const closeGraceMs = 3_000;
/** Time for a local Redis to stop when the process is ended. It has written all it answered, so no more than itself is left. */
const abandonMs = 1_000;

function welcome(app: App, config: Config): string {
  const health = app.healthUrl === null ? '' : ` Its health is at ${app.healthUrl}/readyz`;
  const what = app.url === null ? `Postrider worker is running.${health}` : `Postrider is listening on ${app.url}`;
  // In production every line on stdout is JSON like the log. This one is written at any LOG_LEVEL.
  if (config.NODE_ENV === 'production') return JSON.stringify({ level: 30, time: ownNow(), msg: what });
  if (app.url === null) return what;
  // A configured key is known to the operator and must not appear in a terminal or a log.
  const isMade = config.POSTRIDER_API_KEY === undefined;
  return [
    '',
    `  ${what}`,
    ...(isMade ? [`  API key  ${app.apiKey}`] : []),
    ...(config.devInbox ? [`  Inbox    ${app.url}/dev/inbox`] : []),
    `  Docs     ${app.url}/docs`,
    '',
    '  Send your first email:',
    '',
    `curl ${app.url}/v1/emails \\`,
    `  -H "Authorization: Bearer ${isMade ? app.apiKey : '$POSTRIDER_API_KEY'}" \\`,
    '  -H "Content-Type: application/json" \\',
    `  -d '{"from": "Ada <ada@example.com>", "to": "grace@example.com", "subject": "Hello", "text": "It works."}'`,
    '',
  ].join('\n');
}

export async function run(signals: Signals): Promise<never> {
  const config = readConfigOrExit();
  const cut = new AbortController();
  const opening = openOrExit(config, cut);
  // Until the app is open, a stop gives up opening it.
  let isOpen = false;
  void signals.stopped.then(() => isOpen || cut.abort());
  signals.reload = () => void opening.then((app) => app.reload());
  const app = await opening;
  isOpen = true;
  signals.end = () => abandon(app);
  console.log(welcome(app, config));
  for (const caution of config.cautions) console.error(caution);

  await signals.stopped;
  return stop(app, config);
}

async function abandon(app: App): Promise<void> {
  await waitUntil(app.abandon(), AbortSignal.timeout(abandonMs));
}

async function stop(app: App, config: Config): Promise<never> {
  // Work that hangs beyond its own deadline (Redis gone for good, for example) must not keep the process: another worker takes it over.
  const overdue = setTimeout(() => {
    app.tellStopped();
    console.error('Postrider stopped with unfinished work after SHUTDOWN_TIMEOUT; another worker takes it over.');
    void abandon(app).finally(() => process.exit(1));
  }, config.SHUTDOWN_TIMEOUT + closeGraceMs);
  await app[Symbol.asyncDispose]();
  clearTimeout(overdue);
  const { emails, posts } = app.tellStopped();
  if (emails.size + posts > 0) {
    console.error(
      `Postrider stopped with answers that were not stored (emails: ${emails.size}, webhook posts: ${posts}). Nothing is lost: another worker takes them over, and messages that were already sent may be sent again.`,
    );
  }
  process.exit(emails.size + posts > 0 ? 1 : 0);
}
