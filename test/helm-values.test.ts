/** The chart's values, without helm: the README, the schema and the settings of Postrider tell the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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

it('each setting has a value of its own or may be set in `settings`', () => {
  const names = Object.keys(settings.shape);
  expect(Object.keys(schema.properties.settings.properties).toSorted()).toEqual(
    names.filter((name) => !own.includes(name)).toSorted(),
  );
});

it('the schema takes the levels of the log that there are', () => {
  const { enum: levels } = schema.properties.settings.properties.LOG_LEVEL;
  expect(levels).toEqual(settings.shape.LOG_LEVEL.unwrap().options);
});

it('a variable of `env` is checked like the same setting in `settings`', () => {
  const bound = Object.entries(schema.properties.settings.properties as Record<string, { enum?: unknown }>)
    .filter(([, form]) => form.enum !== undefined)
    .map(([name]) => ({
      if: { properties: { name: { const: name } } },
      // biome-ignore lint/suspicious/noThenProperty: it is JSON Schema's own
      then: { properties: { value: { $ref: `#/properties/settings/properties/${name}` } } },
    }));
  expect(schema.properties.env.items.allOf).toEqual(bound);
});

describe('a secret given as a value has the form that Postrider takes', () => {
  const given = [...read('templates/_checks.tpl').matchAll(/"(\w+)" \(list `(.+)` "(.+)"\)/g)];
  const forms = new Map(given.map(([, name = '', form = '', words = '']) => [name, { form: new RegExp(form), words }]));
  const rows = [
    ['apiKey', settings.shape.POSTRIDER_API_KEY, fc.stringMatching(/^(pr_)?[\w-]{18,22}$/)],
    ['secretKey', settings.shape.SECRET_KEY, secretKeys()],
  ] as const;

  it.each(rows)('%s', (name, setting, samples) => {
    const { form, words } = forms.get(name) ?? expect.unreachable(`${name} is checked`);
    expect(words).toBe(setting.meta()?.expected?.toString().replaceAll('`', ''));
    const property = fc.property(samples, (value) => {
      expect(form.test(value)).toBe(setting.safeParse(value).success);
      // A file ends with a line of its own, and so does a value that `--set-file` takes from one.
      expect(form.test(`${value}\n`)).toBe(form.test(value));
    });
    fc.assert(property, { numRuns: 300 });
  });
});

/** Of 30 to 34 bytes, written in each way. */
function secretKeys(): fc.Arbitrary<string> {
  const bytes = fc.uint8Array({ minLength: 30, maxLength: 34 });
  return fc
    .tuple(bytes, fc.constantFrom('hex', 'base64', 'base64url'))
    .map(([key, encoding]) => Buffer.from(key).toString(encoding as BufferEncoding));
}

it('the schema knows each value and no other', () => {
  const known = (of: { properties?: object; $ref?: string }, above: string): string[] =>
    Object.entries(of.properties ?? {}).flatMap(([name, child]) => [
      `${above}${name}`,
      ...known(child, `${above}${name}.`),
    ]);
  // Flow collections are one value in the table, and `settings`, `global` and `enabled` are nobody's defaults.
  const rows = chartValues().map(({ path }) => path);
  const inOne = (path: string) => rows.some((row) => path.startsWith(`${row}.`)) || path.startsWith('settings.');
  const blocks = (path: string) => rows.some((row) => row.startsWith(`${path}.`));
  const names = known(schema, '').filter((path) => path !== 'global' && path !== 'enabled');
  expect(rows.filter((path) => !names.includes(path))).toEqual([]);
  expect(names.filter((path) => !rows.includes(path) && !blocks(path) && !inOne(path))).toEqual([]);
});

it('the schema takes the defaults and every set of values that is rendered', () => {
  const validate = new Ajv({ allowUnionTypes: true }).compile(schema);
  // What is null helm takes out of the defaults before it looks.
  const merged = (values: unknown) => JSON.parse(JSON.stringify(values), (_, value) => value ?? undefined);
  for (const values of [parse(read('values.yaml')), ...Object.values(valueSets), parseExample()]) {
    validate(merged(values));
    expect(validate.errors).toBeNull();
  }
  expect(validate({ api: { replica: 3 } })).toBe(false);
});

function parseExample(): unknown {
  return parse(/```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? '');
}

it('the ingress opens paths that are called from outside, and none that are for the cluster', () => {
  const routes = Object.keys(parse(readFileSync(join(chart, '../openapi.yaml'), 'utf8')).paths);
  const first = new Set(routes.map((route) => `/${route.split('/')[1]}`));
  const called = [...first].filter((path) => !['/livez', '/readyz', '/metrics'].includes(path));
  expect(parse(read('values.yaml')).ingress.paths.toSorted()).toEqual([...called, '/docs'].toSorted());
});

it('chart and image are of one version', () => {
  expect([metadata.version, metadata.appVersion]).toEqual([packageJson.version, packageJson.version]);
});
