/** Dashboard, alerts and KEDA name metrics and labels that there are, in queries that Prometheus can read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { describe, expect, it } from 'vitest';
import { lanes } from '../src/domain/lane.ts';
import { metrics } from '../src/telemetry/metrics.ts';
import { given, valueSets } from './support/chart-values.ts';
import { chart, helm, type KubernetesObject, render, withoutHelm } from './support/helm.ts';

/** Labels that Prometheus adds. */
const added = ['namespace', 'job', 'service', 'pod', 'le'];
const seriesOf = { counter: [''], gauge: [''], histogram: ['_bucket', '_sum', '_count'] };
const series = new Map<string, readonly string[]>(
  Object.entries(metrics).flatMap(([name, { kind, labels }]) =>
    seriesOf[kind].map((ending) => [`${name}${ending}`, labels] as const),
  ),
);
// Prometheus' own: 1 for each target that it could ask.
series.set('up', []);

/** What is wrong with a query, in words. */
function faultsOf(query: string): string[] {
  const faults: string[] = [];
  const named: string[] = [];
  const labels: string[] = [];
  parser.parse(query).iterate({
    enter({ name, type, from, to }) {
      const text = query.slice(from, to);
      if (type.isError) faults.push(`cannot be read at ${from}`);
      if (name === 'VectorSelector') named.push(text.split('{')[0] ?? '');
      if (name === 'LabelName') labels.push(text);
    },
  });
  const known = [...added, ...named.flatMap((name) => series.get(name) ?? [])];
  faults.push(...named.filter((name) => !series.has(name)).map((name) => `there is no ${name}`));
  faults.push(...labels.filter((label) => !known.includes(label)).map((label) => `has no label ${label}`));
  return faults.map((fault) => `${query}: ${fault}`);
}

/** How far its rates look back, in minutes. */
function windowsOf(query: string): number[] {
  return [...query.matchAll(/\[(\d+)m\]/g)].map(([, minutes]) => Number(minutes));
}

it('faults of a query are found', () => {
  expect(faultsOf('sum by (lane) (rate(postrider_accepted_emails_total{job="a"}[5m])) > 0')).toEqual([]);
  expect(faultsOf('sum by (le) (rate(postrider_webhook_post_seconds_bucket[5m]))')).toEqual([]);
  expect(faultsOf('postrider_webhook_post_seconds')).toEqual([
    expect.stringContaining('there is no postrider_webhook'),
  ]);
  expect(faultsOf('max by (route) (postrider_redis_up)')).toEqual([expect.stringContaining('has no label route')]);
  expect(faultsOf('rate(postrider_accepted_emails_total[5m)')).toEqual([expect.stringContaining('cannot be read')]);
});

describe('the dashboard', () => {
  type Panel = { title: string; targets?: { expr: string; legendFormat: string }[]; gridPos: { x: number; w: number } };
  const { panels } = JSON.parse(readFileSync(join(chart, 'dashboards/postrider.json'), 'utf8')) as { panels: Panel[] };
  /** Grafana puts the step in. */
  const queries = panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m')),
  );

  it('asks for metrics that there are', () => {
    expect(queries.flatMap(faultsOf)).toEqual([]);
  });

  it('shows every metric', () => {
    const shown = queries.join('\n');
    expect(Object.keys(metrics).filter((name) => !shown.includes(name))).toEqual([]);
  });

  it('names a line by labels that its query keeps', () => {
    for (const { targets = [] } of panels) {
      for (const { expr, legendFormat } of targets)
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect(expr).toMatch(new RegExp(`by \\([^)]*${label}`));
    }
  });
});

describe('in the cluster', () => {
  const objects = helm === null ? [] : render(valueSets['autoscaling on age, all metrics'] ?? {});
  const specOf = (kind: string): KubernetesObject['spec'] =>
    objects.find((object) => object.kind === kind)?.spec ?? expect.unreachable(`there is a ${kind}`);

  it('alerts watch metrics that there are', ({ skip }) => {
    skip(helm === null, withoutHelm);
    const rules = specOf('PrometheusRule').groups.flatMap((group) => group.rules);
    expect(new Set(rules.map(({ alert }) => alert))).toEqual(
      new Set([
        'PostriderMailWaits',
        'PostriderBreakerOpen',
        'PostriderTransportsFileWrong',
        'PostriderClockWrong',
        'PostriderWebhooksLag',
        'PostriderRefusesMail',
        'PostriderTakesNoMail',
        'PostriderRedisAway',
        'PostriderApiDown',
        'PostriderWorkersDown',
      ]),
    );
    expect(rules.flatMap(({ expr }) => faultsOf(expr))).toEqual([]);
  });

  it('one alert reports that no API runs and one that no worker runs, by the Services through which their metrics are found', ({
    skip,
  }) => {
    skip(helm === null, withoutHelm);
    const rules = specOf('PrometheusRule').groups.flatMap((group) => group.rules);
    const services = objects.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name);
    const watched = ['PostriderApiDown', 'PostriderWorkersDown'].map((name) => {
      const { expr = '' } = rules.find(({ alert }) => alert === name) ?? {};
      return /^absent\(up\{.*service="(.+)"\} == 1\)$/.exec(expr)?.[1];
    });
    expect(watched).toEqual(services);
  });

  it('no alert reports missing workers if there should be none', ({ skip }) => {
    skip(helm === null, withoutHelm);
    const idle = render({ ...valueSets['settings and places'], prometheusRule: { enabled: true } });
    const alerts = idle.find(({ kind }) => kind === 'PrometheusRule')?.spec.groups.flatMap(({ rules }) => rules);
    expect(alerts?.map(({ alert }) => alert)).toContain('PostriderApiDown');
    expect(alerts?.map(({ alert }) => alert)).not.toContain('PostriderWorkersDown');
  });

  it('a single event raises no alert: each alert holds for longer than its rate looks back', ({ skip }) => {
    skip(helm === null, withoutHelm);
    const rules = specOf('PrometheusRule').groups.flatMap((group) => group.rules);
    const rates = rules.flatMap((rule) => windowsOf(rule.expr).map((minutes) => ({ ...rule, minutes })));
    expect(rates.map(({ alert }) => alert)).toEqual(['PostriderRefusesMail']);
    for (const { minutes, for: held } of rates) expect(Number.parseInt(held, 10)).toBeGreaterThan(minutes);
  });

  it('the rarest reading of metrics that the chart takes leaves each rate two of them', ({ skip }) => {
    skip(helm === null, withoutHelm);
    for (const interval of ['60s', '1m']) {
      const asked = render({ ...given, serviceMonitor: { enabled: true, interval } });
      expect(asked.find(({ kind }) => kind === 'ServiceMonitor')?.spec.endpoints).toMatchObject([{ interval }]);
    }
    const rates = specOf('PrometheusRule').groups.flatMap(({ rules }) => rules.flatMap(({ expr }) => windowsOf(expr)));
    expect(rates).toEqual([2]);
  });

  it('only requests that would have made mail raise the alert that mail is refused', ({ skip }) => {
    skip(helm === null, withoutHelm);
    const rules = specOf('PrometheusRule').groups.flatMap((group) => group.rules);
    expect(rules.find(({ alert }) => alert === 'PostriderRefusesMail')?.expr).toContain('takes_mail="true"');
  });

  it('a lane that accepts no mail raises the alert even if nobody sends any', ({ skip }) => {
    skip(helm === null, withoutHelm);
    const rules = specOf('PrometheusRule').groups.flatMap((group) => group.rules);
    const watched = rules.filter(({ expr }) => expr.includes('postrider_taking_mail'));
    expect(watched.map(({ alert }) => alert)).toEqual(lanes.map(() => 'PostriderTakesNoMail'));
    for (const [n, lane] of lanes.entries()) expect(watched[n]?.expr).toContain(`lane="${lane}"`);
  });

  it('workers are scaled on a metric that there is', ({ skip }) => {
    skip(helm === null, withoutHelm);
    const queries = specOf('ScaledObject').triggers.map(({ metadata }) => metadata.query);
    expect(queries).toHaveLength(2);
    expect(queries.flatMap(faultsOf)).toEqual([]);
  });

  it('the ConfigMap holds the dashboard as it is, under a name of its own in each release', ({ skip }) => {
    skip(helm === null, withoutHelm);
    const dashboardIn = (all: readonly KubernetesObject[]) =>
      JSON.parse(all.find(({ kind }) => kind === 'ConfigMap')?.data['postrider.json'] ?? '');
    const { uid, title, ...rest } = dashboardIn(objects);
    const { uid: _, title: __, ...stored } = JSON.parse(readFileSync(join(chart, 'dashboards/postrider.json'), 'utf8'));
    expect(rest).toEqual(stored);
    // Grafana takes 40 characters.
    expect(uid).toMatch(/^[a-z0-9-]{1,40}$/);
    const values = { ...valueSets['autoscaling on age, all metrics'] };
    const other = dashboardIn(render(values, { release: 'other' }));
    expect([other.uid === uid, other.title === title]).toEqual([false, false]);
    expect(dashboardIn(render({ ...values, image: { tag: 'next' } })).uid).toBe(uid);
  });
});
