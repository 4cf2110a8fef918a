/** The table of log lines in docs/metrics.md: every line that can be reported has a row, which names all of its fields. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { linesOf, reportNames } from '../support/reports.ts';

const document = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
const rows = [...document.slice(document.indexOf('## Logs')).matchAll(/^\| (`.*?`) \| .* \|$/gm)];

/** Where a message is written with `…`, that stands for what is around the words. */
function rowsOf(msg: string): readonly string[] {
  const isOf = (pattern: string) => {
    const parts = pattern.split('…').map((part) => RegExp.escape(part));
    return new RegExp(`^${parts.join('.*')}$`).test(msg);
  };
  return rows.flatMap(([row, names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].some(([, it = '']) => isOf(it)) ? [row] : [],
  );
}

it.each(reportNames)('every line of %s is in it, with its fields', (name) => {
  const lines = linesOf(name);
  expect(lines.length).toBeGreaterThan(0);
  for (const { msg, fields } of lines) {
    const found = rowsOf(msg);
    expect(found, msg).toHaveLength(1);
    const given = Object.keys(fields).filter((field) => fields[field] !== undefined);
    expect(
      given.filter((field) => !found[0]?.includes(`\`${field}\``)),
      msg,
    ).toEqual([]);
  }
});
