/** Documents that are made from the code stand as the code would make them now. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parkedReasons } from '../src/domain/explain-parked.ts';
import { sandboxDomain, sandboxRows } from '../src/domain/sandbox.ts';
import { startProcess } from './support/processes.ts';

const root = new URL('..', import.meta.url);

/** What stands in a document between a pair of marks. */
function tableOf(mark: string, path = 'README.md'): string {
  const readme = readFileSync(new URL(path, root), 'utf8');
  const [, table = ''] = new RegExp(`<!-- ${mark} -->\\n([\\s\\S]*?)<!-- /${mark} -->`).exec(readme) ?? [];
  return table;
}

async function cli(command: string): Promise<string> {
  await using process_ = startProcess(process.execPath, [fileURLToPath(new URL('src/cli.ts', root)), command]);
  expect(await process_.ended).toBe(0);
  return process_.output();
}

it('openapi.yaml is what npm run openapi writes', async () => {
  expect(readFileSync(new URL('openapi.yaml', root), 'utf8')).toBe(await cli('openapi'));
});

it('the configuration table in README.md is what src/config.ts says', async () => {
  expect(tableOf('settings')).toBe(await cli('settings'));
});

it('the table in docs/metrics.md is what src/telemetry/metrics.ts says', async () => {
  expect(tableOf('metrics', 'docs/metrics.md')).toBe(await cli('metrics'));
});

it('the sandbox recipients in README.md are those of src/domain/sandbox.ts', () => {
  const rows = sandboxRows.map(({ local, becomes }) => `| \`${local}@${sandboxDomain}\` | ${becomes} |`);
  expect(tableOf('sandbox').split('\n').slice(2, -2)).toEqual(rows);
});

it('what mail may wait for is in README.md', () => {
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  for (const reason of parkedReasons) expect(readme).toContain(`| \`${reason}\` `);
});

it.each(['README.md', 'CHANGELOG.md', 'src/README.md', 'bench/README.md', 'helm/README.md', 'docs/metrics.md'])(
  '%s has no traces of a merge',
  (path) => {
    expect(readFileSync(new URL(path, root), 'utf8')).not.toMatch(/^(?:<{7}|={7}|>{7})/m);
  },
);

it('an unknown command prints what there is and exits with 64', async () => {
  await using wrong = startProcess(process.execPath, [fileURLToPath(new URL('src/cli.ts', root)), 'fly']);
  expect(await wrong.ended).toBe(64);
  expect(wrong.output()).toMatch(/^Usage: [\s\S]*openapi[\s\S]*settings/);
});
