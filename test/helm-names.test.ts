/** The chart under other names: a long one, one that Kubernetes refuses, and as a part of another chart. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { given, valueSets } from './support/chart-values.ts';
import { chart, helm, render, withoutHelm } from './support/helm.ts';

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

/** The longest label, which is also the longest name of a Service. */
const longest = 63;

it('a long name leaves room for what Kubernetes appends', () => {
  const values = { ...valueSets['to try it out'], fullnameOverride: 'm'.repeat(70) };
  const objects = render(values);
  const named = (kind: string) => objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);
  const [store = ''] = named('StatefulSet');
  expect(`${store}-0123456789`.length).toBeLessThanOrEqual(longest);
  for (const name of named('Service')) expect(name.length).toBeLessThanOrEqual(longest);
  expect(named('Service')).toContain(store);
  expect(JSON.stringify(objects)).toContain(`redis://${store}:6379`);
});

it.each(['1mail', 'mail.eu'])('a release whose name no Service may have is given another: %s', (release) => {
  expect(() => render(given, { release })).toThrow(`${release}-postrider cannot be the name of a Service`);
  const [first] = render({ ...given, fullnameOverride: 'mail' }, { release });
  expect(first?.metadata.name).toMatch(/^mail/);
});

it('as a part of another chart it is turned on and off there', () => {
  const whole = mkdtempSync(join(tmpdir(), 'pr-whole-'));
  try {
    cpSync(chart, join(whole, 'charts/postrider'), { recursive: true });
    const part = { name: 'postrider', version: '*', condition: 'postrider.enabled' };
    // JSON is YAML.
    const metadata = { apiVersion: 'v2', name: 'shop', version: '1.0.0', dependencies: [part] };
    writeFileSync(join(whole, 'Chart.yaml'), JSON.stringify(metadata));
    const kinds = (enabled: boolean) =>
      render({ postrider: { ...given, enabled } }, { from: whole }).map(({ kind }) => kind);
    expect(kinds(true)).toContain('Deployment');
    expect(kinds(false)).toEqual([]);
  } finally {
    rmSync(whole, { recursive: true });
  }
});
