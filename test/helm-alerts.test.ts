/** When each alert fires and when it does not, and by what KEDA scales: asked of metrics as they would be. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { RefusalReason } from '../src/domain/problem.ts';
import { find } from './support/chart-objects.ts';
import { helm, withoutHelm } from './support/helm.ts';
import { evaluate, type Sample } from './support/promql.ts';

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

const name = 'autoscaling on age, all metrics';
const rulesOf = (alert: string) =>
  find(name, 'PrometheusRule')
    .spec.groups.flatMap(({ rules }) => rules)
    .filter((rule) => rule.alert === alert);

/** As the release `pr` in the namespace `mail` tells of itself. */
const told = (metric: string, value: number, labels: Sample['labels'] = {}): Sample => ({
  name: `postrider_${metric}`,
  labels: { namespace: 'mail', job: 'pr', ...labels },
  value,
});
const oldest = (lane: string, seconds: number) => told('oldest_waiting_seconds', seconds, { lane });
const breaker = (transport: string, open: number) => told('breaker_open', open, { transport });
const refused = (perSecond: number, reason: RefusalReason, takesMail = 'true') =>
  told('refused_requests_total', perSecond, { reason, takes_mail: takesMail });
const taking = (lane: string, value: number) => told('taking_mail', value, { lane });
const up = (service: string, value: number): Sample => ({ ...told('', value, { service }), name: 'up' });

type Row = {
  readonly alert: string;
  readonly severity: 'warning' | 'critical';
  readonly fires: readonly (readonly Sample[])[];
  readonly quiet: readonly Sample[];
};

const rows: readonly Row[] = [
  {
    alert: 'PostriderMailWaits',
    severity: 'critical',
    fires: [[oldest('transactional', 3), oldest('transactional', 61)]],
    quiet: [oldest('transactional', 60), oldest('bulk', 3_600)],
  },
  {
    alert: 'PostriderMailWaits',
    severity: 'warning',
    fires: [[oldest('bulk', 3_601)]],
    quiet: [oldest('bulk', 3_600)],
  },
  {
    alert: 'PostriderBreakerOpen',
    severity: 'critical',
    fires: [[breaker('ses', 0), breaker('backup', 1)]],
    quiet: [breaker('ses', 0)],
  },
  {
    alert: 'PostriderTransportsFileWrong',
    severity: 'warning',
    fires: [[told('transports_file_wrong', 0), told('transports_file_wrong', 1)]],
    quiet: [told('transports_file_wrong', 0)],
  },
  {
    alert: 'PostriderClockWrong',
    severity: 'warning',
    fires: [
      [told('clock_difference_seconds', 61)],
      [told('clock_difference_seconds', 0), told('clock_difference_seconds', -61)],
    ],
    quiet: [told('clock_difference_seconds', 60), told('clock_difference_seconds', -60)],
  },
  {
    alert: 'PostriderWebhooksLag',
    severity: 'warning',
    fires: [[told('webhook_oldest_waiting_seconds', 901)]],
    quiet: [told('webhook_oldest_waiting_seconds', 900)],
  },
  {
    alert: 'PostriderRefusesMail',
    severity: 'critical',
    fires: [[refused(0.1, 'back_pressure')], [refused(0.1, 'redis_away')]],
    quiet: [refused(0, 'back_pressure'), refused(5, 'back_pressure', 'false'), refused(5, 'rate_limit_exceeded')],
  },
  {
    alert: 'PostriderTakesNoMail',
    severity: 'critical',
    fires: [[taking('transactional', 1), taking('transactional', 0), taking('bulk', 1)]],
    quiet: [taking('transactional', 1), taking('bulk', 1)],
  },
  {
    alert: 'PostriderTakesNoMail',
    severity: 'warning',
    fires: [[taking('bulk', 0), taking('transactional', 1)]],
    quiet: [taking('bulk', 1)],
  },
  {
    alert: 'PostriderRedisAway',
    severity: 'critical',
    fires: [[told('redis_up', 1), told('redis_up', 0)], []],
    quiet: [told('redis_up', 1)],
  },
  {
    alert: 'PostriderApiDown',
    severity: 'critical',
    fires: [[up('pr-postrider', 0), up('pr-postrider-worker', 1)], []],
    quiet: [up('pr-postrider', 0), up('pr-postrider', 1)],
  },
  {
    alert: 'PostriderWorkersDown',
    severity: 'critical',
    fires: [[up('pr-postrider-worker', 0), up('pr-postrider', 1)], []],
    quiet: [up('pr-postrider-worker', 0), up('pr-postrider-worker', 1)],
  },
];

describe.each(rows)('$alert, $severity', ({ alert, severity, fires, quiet }) => {
  const firing = (samples: readonly Sample[]) =>
    rulesOf(alert).filter(({ expr }) => evaluate(expr, samples).length > 0);
  const ofOthers = (samples: readonly Sample[]) =>
    ['namespace', 'job'].map((label) =>
      samples.map((sample) => ({ ...sample, labels: { ...sample.labels, [label]: 'other' } })),
    );

  it('fires when it should, within five minutes', () => {
    for (const samples of fires) {
      const [rule, ...others] = firing(samples);
      expect([rule?.labels, others]).toEqual([{ severity }, []]);
      expect(rule?.for).toMatch(/^[1-5]m$/);
    }
  });

  it('is quiet when all is well', () => {
    expect(firing(quiet)).toEqual([]);
  });

  it('ignores other releases', () => {
    for (const samples of [...fires, quiet].flatMap(ofOthers)) expect(firing(samples)).toEqual(firing([]));
  });
});

it('every alert is asked', () => {
  const alerts = find(name, 'PrometheusRule').spec.groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
  expect(new Set(rows.map(({ alert }) => alert))).toEqual(new Set(alerts));
});

it('KEDA asks how long the oldest of each lane has waited, whichever process reports it', () => {
  const { triggers } = find(name, 'ScaledObject').spec;
  const waiting = [oldest('transactional', 3), oldest('transactional', 20), oldest('bulk', 7), oldest('bulk', 950)];
  const elsewhere = { ...oldest('bulk', 9_000), labels: { namespace: 'mail', job: 'other', lane: 'bulk' } };
  const asked = triggers.map(({ metadata }) => [evaluate(metadata.query, [...waiting, elsewhere]), metadata.threshold]);
  expect(asked).toEqual([
    [[{ labels: {}, value: 950 }], '900'],
    [[{ labels: {}, value: 20 }], '15'],
  ]);
  // An average would be over the workers that there are.
  for (const trigger of triggers)
    expect(trigger).toMatchObject({ metricType: 'Value', metadata: { serverAddress: 'http://prometheus:9090' } });
});
