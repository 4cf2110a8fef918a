/** The table of values in helm/README.md, made from helm/values.yaml and its comments. Run by itself it prints it. */
import { readFileSync } from 'node:fs';
import { isMap, isScalar, type Pair, parseDocument, stringify, type YAMLMap } from 'yaml';

const file = new URL('../../helm/values.yaml', import.meta.url);

export type Row = { readonly path: string; readonly value: unknown; readonly what: string };

/** Each value that is not itself a block of values. The comment above a block speaks for its first value, or for the block. */
export function chartValues(text = readFileSync(file, 'utf8')): readonly Row[] {
  const { contents } = parseDocument(text);
  return isMap(contents) ? rowsOf(contents, '') : [];
}

function rowsOf(map: YAMLMap, above: string): Row[] {
  return map.items.flatMap((pair, index): Row[] => {
    const { key, value } = pair as Pair;
    const path = `${above}${String(key)}`;
    // The comment above the first of a block is kept with the block.
    const said = (index === 0 ? map.commentBefore : undefined) ?? (isScalar(key) ? key.commentBefore : undefined) ?? '';
    const what = said.split('\n\n').at(-1)?.replaceAll(/\n? /g, ' ').trim() ?? '';
    if (isMap(value) && !value.flow) {
      const rows = rowsOf(value, `${path}.`);
      return what === '' ? rows : [{ path, value: undefined, what }, ...rows];
    }
    return [{ path, value: isScalar(value) ? value.value : (value as YAMLMap).toJSON(), what }];
  });
}

export function chartTable(rows = chartValues()): string {
  const lines = rows.map(({ path, value, what }) => {
    const fallback =
      value === undefined ? '' : `\`${stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()}\``;
    return `| \`${path}\` | ${fallback.replaceAll('|', '\\|')} | ${what.replaceAll('|', '\\|')} |`;
  });
  return ['| value | default | what it is |', '|---|---|---|', ...lines, ''].join('\n');
}

if (import.meta.main) process.stdout.write(chartTable());
