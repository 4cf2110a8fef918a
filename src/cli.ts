/** Operator commands: `node src/cli.ts <command>`. */
import { stringify } from 'yaml';
import packageJson from '../package.json' with { type: 'json' };
import { settingsTable } from './config.ts';
import { describeApi } from './http/openapi.ts';

type Command = { readonly what: string; run(): Promise<string> };

const commands: Readonly<Record<string, Command>> = {
  openapi: {
    what: 'print openapi.yaml, made from the routes',
    run: async () => stringify(await describeApi(packageJson.version), { aliasDuplicateObjects: false }),
  },
  settings: { what: 'print the configuration table of the README', run: async () => `${settingsTable()}\n` },
};

function usage(): string {
  return [
    'Usage: node src/cli.ts <command>',
    '',
    ...Object.entries(commands).map(([name, { what }]) => `  ${name.padEnd(10)} ${what}`),
    '',
  ].join('\n');
}

/** sysexits.h EX_USAGE. */
const exitUsage = 64;

const command = commands[process.argv[2] ?? ''];
if (command === undefined) {
  process.stderr.write(usage());
  process.exitCode = exitUsage;
} else {
  process.stdout.write(await command.run());
}
