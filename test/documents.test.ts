/** Documents that are made from the code stand as the code would make them now. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { startProcess } from './support/processes.ts';

const root = new URL('..', import.meta.url);

async function cli(command: string): Promise<string> {
  await using process_ = startProcess(process.execPath, [fileURLToPath(new URL('src/cli.ts', root)), command]);
  expect(await process_.ended).toBe(0);
  return process_.output();
}

it('openapi.yaml is what npm run openapi writes', async () => {
  expect(readFileSync(new URL('openapi.yaml', root), 'utf8')).toBe(await cli('openapi'));
});

it('the configuration table in README.md is what src/config.ts says', async () => {
  const [, table] =
    /<!-- settings -->\n([\s\S]*?)<!-- \/settings -->/.exec(readFileSync(new URL('README.md', root), 'utf8')) ?? [];
  expect(table).toBe(await cli('settings'));
});

it('an unknown command prints what there is and exits with 64', async () => {
  await using wrong = startProcess(process.execPath, [fileURLToPath(new URL('src/cli.ts', root)), 'fly']);
  expect(await wrong.ended).toBe(64);
  expect(wrong.output()).toMatch(/^Usage: [\s\S]*openapi[\s\S]*settings/);
});
