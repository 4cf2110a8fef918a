/** The chart's values, without helm: the README, the schema and the settings of Postrider tell the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../package.json' with { type: 'json' };
import { settings } from '../src/settings.ts';
import { chartTable, chartValues } from './support/chart-table.ts';
import { valueSets } from './support/chart-values.ts';
import { chart } from './support/helm.ts';

const read = (name: string) => readFileSync(join(chart, name), 'utf8');
const schema = JSON.parse(read('values.schema.json'));
const readme = read('README.md');
const metadata = parse(read('Chart.yaml'));

/** Settings that the chart gives itself, out of values of their own. */
const own = [
  'NODE_ENV',
  'ROLES',
  'PORT',
  'HEALTH_PORT',
  'DATA_DIR',
  'REDIS_URL',
  'SMTP_URL',
  'TRANSPORTS_FILE',
  'POSTRIDER_API_KEY',
  'SECRET_KEY',
  'SHUTDOWN_TIMEOUT',
];

it('the table in helm/README.md is what node test/support/chart-table.ts prints', () => {
  const [, table] = /<!-- values -->\n([\s\S]*?)<!-- \/values -->/.exec(readme) ?? [];
  expect(table).toBe(chartTable());
});

it('each setting has a value of its own or may stand in `settings`', () => {
  const names = Object.keys(settings.shape);
  expect(Object.keys(schema.properties.settings.properties).toSorted()).toEqual(
    names.filter((name) => !own.includes(name)).toSorted(),
  );
});

it('the schema takes the levels of the log that there are', () => {
  const { enum: levels } = schema.properties.settings.properties.LOG_LEVEL;
  expect(levels).toEqual(settings.shape.LOG_LEVEL.unwrap().options);
});

it('the schema knows each value and no other', () => {
  const known = (of: { properties?: object; $ref?: string }, above: string): string[] =>
    Object.entries(of.properties ?? {}).flatMap(([name, child]) => [
      `${above}${name}`,
      ...known(child, `${above}${name}.`),
    ]);
  // Flow collections are one value in the table, and `settings` and `global` are nobody's defaults.
  const rows = chartValues().map(({ path }) => path);
  const inOne = (path: string) => rows.some((row) => path.startsWith(`${row}.`)) || path.startsWith('settings.');
  const blocks = (path: string) => rows.some((row) => row.startsWith(`${path}.`));
  const names = known(schema, '').filter((path) => path !== 'global');
  expect(rows.filter((path) => !names.includes(path))).toEqual([]);
  expect(names.filter((path) => !rows.includes(path) && !blocks(path) && !inOne(path))).toEqual([]);
});

it('the schema takes the defaults and every set of values that is rendered', () => {
  const validate = new Ajv({ allowUnionTypes: true }).compile(schema);
  for (const values of [parse(read('values.yaml')), ...Object.values(valueSets), parseExample()]) {
    validate(values);
    expect(validate.errors).toBeNull();
  }
  expect(validate({ api: { replica: 3 } })).toBe(false);
});

function parseExample(): unknown {
  return parse(/```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? '');
}

it('the ingress opens what is called from outside, and nothing that is for the cluster', () => {
  const routes = Object.keys(parse(readFileSync(join(chart, '../openapi.yaml'), 'utf8')).paths);
  const first = new Set(routes.map((route) => `/${route.split('/')[1]}`));
  const called = [...first].filter((path) => !['/livez', '/readyz', '/metrics'].includes(path));
  expect(parse(read('values.yaml')).ingress.paths.toSorted()).toEqual([...called, '/docs'].toSorted());
});

it('chart and image are of one version', () => {
  expect([metadata.version, metadata.appVersion]).toEqual([packageJson.version, packageJson.version]);
});
