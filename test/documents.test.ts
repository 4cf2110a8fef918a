/** Documents that are made from the code stand as the code would make them now. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { sandboxDomain, sandboxRows } from '../src/domain/sandbox.ts';
import type { Operation } from '../src/http/openapi/document.ts';
import { documents, readDocument, root } from './support/documents.ts';
import { readOpenApi } from './support/openapi.ts';
import { startProcess } from './support/processes.ts';

/** What stands in a document between a pair of marks. */
function tableIn(path: string, mark: string): string {
  const [, table = ''] = new RegExp(`<!-- ${mark} -->\\n([\\s\\S]*?)<!-- /${mark} -->`).exec(readDocument(path)) ?? [];
  return table;
}

async function cli(command: string): Promise<string> {
  await using process_ = startProcess(process.execPath, [join(root, 'src/cli.ts'), command]);
  expect(await process_.ended).toBe(0);
  return process_.output();
}

it('openapi.yaml is what npm run openapi writes', async () => {
  expect(readDocument('openapi.yaml')).toBe(await cli('openapi'));
});

it('openapi.yaml says the same to readers of YAML 1.1, which take for a time what looks like one', () => {
  const text = readDocument('openapi.yaml');
  expect(parse(text, { schema: 'yaml-1.1' })).toEqual(parse(text));
});

it('the configuration table in README.md is what node src/cli.ts settings prints', async () => {
  expect(tableIn('README.md', 'settings')).toBe(await cli('settings'));
});

it('the table in docs/metrics.md is what node src/cli.ts metrics prints', async () => {
  expect(tableIn('docs/metrics.md', 'metrics')).toBe(await cli('metrics'));
});

it('the sandbox recipients in docs/sending.md are those of src/domain/sandbox.ts', () => {
  const rows = sandboxRows.map(({ local, becomes }) => `| \`${local}@${sandboxDomain}\` | ${becomes} |`);
  expect(tableIn('docs/sending.md', 'sandbox').split('\n').slice(2, -2)).toEqual(rows);
});

it('docs/sending.md lists every route that takes an Idempotency-Key', () => {
  const { paths } = readOpenApi();
  const takesKey = ({ parameters = [] }: Operation) => parameters.some(({ name }) => name === 'idempotency-key');
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) =>
      takesKey(operation) ? [`${method.toUpperCase()} ${path}`] : [],
    ),
  );
  const listed = [...tableIn('docs/sending.md', 'idempotent').matchAll(/^\| `([^`]+)` \|/gm)].map(([, route]) => route);
  expect(listed.toSorted()).toEqual(routes.toSorted());
});

it.each(documents)('%s has no traces of a merge', (path) => {
  expect(readDocument(path)).not.toMatch(/^(?:<{7}|={7}|>{7})/m);
});
