/** Operator commands: `npm run cli -- <command>`, or `node src/cli.ts <command>`. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { text as textOf } from 'node:stream/consumers';
import packageJson from '../package.json' with { type: 'json' };
import { addressOf, type Command, type Said } from './cli/command.ts';
import { ConfigError, exitConfig, readConfig, settingsTable, variablesOf } from './config.ts';

/** sysexits.h EX_USAGE. */
const exitUsage = 64;
/** A health check that takes longer has failed. */
const healthDeadlineMs = 4_000;

/** Each command loads only what it needs: containers run the health check all the time, and it should not load the whole API. */
const commands: Readonly<Record<string, Command>> = {
  campaign: {
    what: 'send a campaign to a list in a file and watch it; or show, pause, resume or cancel one, over the API',
    form: null,
    most: Number.POSITIVE_INFINITY,
    async *run(args) {
      const { runCampaign } = await import('./cli/campaign.ts');
      yield* runCampaign(args);
    },
  },
  classify: {
    what: 'explain how SMTP replies are classified: each argument, or each reply on stdin',
    form: '["<reply>" ...]',
    most: Number.POSITIVE_INFINITY,
    run: classifyReplies,
  },
  health: {
    what: 'check that the Postrider with this environment is alive, or with `ready` that it can take work',
    form: '[live | ready]',
    most: 1,
    run: askHealth,
  },
  metrics: {
    what: 'print the table of metrics in docs/metrics.md',
    form: '',
    most: 0,
    async *run() {
      const { metricsTable } = await import('./telemetry/metrics.ts');
      yield { text: `${metricsTable()}\n` };
    },
  },
  openapi: {
    what: 'print openapi.yaml, made from the routes',
    form: '',
    most: 0,
    async *run() {
      const { stringify } = await import('yaml');
      const { describeApi } = await import('./http/openapi.ts');
      // YAML 1.1, which many readers still use, takes an unquoted value that looks like a time for a time.
      const form = { aliasDuplicateObjects: false, schema: 'yaml-1.1' } as const;
      yield { text: stringify(await describeApi(packageJson.version), form) };
    },
  },
  settings: {
    what: 'print the configuration table of the README',
    form: '',
    most: 0,
    async *run() {
      yield { text: `${settingsTable()}\n` };
    },
  },
  transports: {
    what: 'check a TRANSPORTS_FILE: print its plan, or every fault and exit with 1',
    form: '<file>',
    most: 1,
    run: checkTransports,
  },
};

async function* askHealth([what = 'live']: readonly string[]): AsyncGenerator<Said> {
  const path = new Map([
    ['live', '/livez'],
    ['ready', '/readyz'],
  ]).get(what);
  if (path === undefined) return yield { fault: `Unknown check: ${what}. Use live or ready` };
  try {
    const address = addressOf(readConfig());
    if (address === null) return yield { fault: 'Its address is unknown: set PORT or HEALTH_PORT', exit: 1 };
    // Not `fetch`: it refuses some ports.
    const asking = get(`${address}${path}`, { signal: AbortSignal.timeout(healthDeadlineMs) });
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];
    const said = await textOf(answer);
    yield answer.statusCode === 200 ? { text: `${said}\n` } : { fault: said, exit: 1 };
  } catch (error) {
    if (error instanceof ConfigError) yield { fault: error.message, exit: exitConfig };
    else yield { fault: `No answer: ${error instanceof Error ? error.message : String(error)}`, exit: 1 };
  }
}

async function* checkTransports([path]: readonly string[]): AsyncGenerator<Said> {
  if (path === undefined) return yield { fault: 'No file was given: npm run cli -- transports transports.yaml' };
  const { readTransportsFile } = await import('./outbound/transports-file.ts');
  const { describePlan } = await import('./domain/plan-words.ts');
  const read = await readTransportsFile(path, variablesOf());
  if (!('faults' in read)) yield { text: `${describePlan(read)}\n` };
  else for (const fault of read.faults) yield { fault, exit: 1 };
}

async function* classifyReplies(args: readonly string[]): AsyncGenerator<Said> {
  const { describeReply } = await import('./domain/reply-words.ts');
  let count = 0;
  for await (const reply of args.length > 0 ? args : repliesOf(createInterface({ input: process.stdin }))) {
    // A reply copied from a log or JSON has its line ends as \n.
    const text = reply.trim().replaceAll('\\r', '').replaceAll('\\n', '\n');
    const described = describeReply(text);
    const separator = count++ === 0 ? '' : '\n';
    if (described === null)
      yield { fault: `Not an SMTP reply, which begins with a three-digit code: ${JSON.stringify(text)}` };
    else yield { text: `${separator}${described}\n` };
  }
  if (count === 0) yield { fault: 'No reply was given: npm run cli -- classify "550 5.1.1 User unknown"' };
}

/** Joins the lines of one reply: all but the last have a hyphen after the code (RFC 5321 section 4.2.1). */
async function* repliesOf(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let begun: string[] = [];
  for await (const line of lines) {
    if (line.trim() === '') continue;
    begun.push(line.trim());
    if (/^\d{3}-/.test(line.trim()) && begun.length < maxReplyLines) continue;
    yield begun.join('\n');
    begun = [];
  }
  if (begun.length > 0) yield begun.join('\n');
}

/** More than any server sends; the stored part of a reply is bounded anyway. */
const maxReplyLines = 100;

function usage(): string {
  return [
    'Usage: npm run cli -- <command>',
    '',
    ...Object.entries(commands).map(([name, { what }]) => `  ${name.padEnd(10)} ${what}`),
    '',
  ].join('\n');
}

function usageOf(name: string, { what, form }: Command): string {
  return `Usage: ${`npm run cli -- ${name} ${form ?? ''}`.trim()}\n\n${what}\n`;
}

// A reader that stops early, such as `head`, has what it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const isHelp = (argument: string | undefined) => argument === '--help' || argument === '-h';

const [name = '', ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
if (isHelp(name)) process.stdout.write(usage());
else if (command === undefined) {
  process.stderr.write(name === '' ? usage() : `Unknown command: ${name}\n${usage()}`);
  process.exitCode = exitUsage;
} else if (command.form !== null && isHelp(args[0])) {
  process.stdout.write(usageOf(name, command));
} else if (args.length > command.most) {
  process.stderr.write(usageOf(name, command));
  process.exitCode = exitUsage;
} else {
  for await (const said of command.run(args)) {
    if ('text' in said) process.stdout.write(said.text);
    else {
      process.stderr.write(`${said.fault}\n`);
      process.exitCode = said.exit ?? exitUsage;
    }
  }
}
