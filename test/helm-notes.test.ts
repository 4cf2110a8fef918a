/** What is told after an installation: only what its values call for. */
import { beforeEach, expect, it } from 'vitest';
import { given } from './support/chart-values.ts';
import { helm, notes, withoutHelm } from './support/helm.ts';
import { testApiKey } from './support/postrider.ts';

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

it('a policy that lets in only callers gets the hint to let in Prometheus as well', () => {
  const policy = { enabled: true, clients: [{ podSelector: {} }] };
  const hint = 'name Prometheus in networkPolicy.monitoring';
  expect(notes({ ...given, networkPolicy: policy })).toContain(hint);
  for (const networkPolicy of [{ ...policy, monitoring: policy.clients }, { ...policy, enabled: false }, {}])
    expect(notes({ ...given, networkPolicy })).toMatch(/helm test pr(?![\s\S]*Prometheus)/);
});

it('metrics without the ServiceMonitor get a note about the labels they need', () => {
  const labels = 'the labels namespace="mail" and job="pr"';
  const keda = { enabled: true, serverAddress: 'http://prometheus:9090' };
  const asking = [
    { worker: { autoscaling: { enabled: true }, keda } },
    { prometheusRule: { enabled: true } },
    { dashboard: { enabled: true } },
  ];
  for (const values of asking) {
    expect(notes({ ...given, ...values })).toContain(labels);
    expect(notes({ ...given, ...values, serviceMonitor: { enabled: true } })).not.toContain('labels');
  }
  expect(notes(given)).not.toContain('labels');
});

it('workers that scale on CPU get a note about the step before KEDA', () => {
  const autoscaling = { enabled: true };
  const step = 'kubectl --namespace mail delete horizontalpodautoscaler pr-postrider-worker';
  expect(notes({ ...given, worker: { autoscaling } })).toContain(step);
  const keda = { enabled: true, serverAddress: 'http://prometheus:9090' };
  for (const values of [{ worker: { autoscaling, keda } }, { api: { autoscaling } }])
    expect(notes({ ...given, ...values })).not.toContain('horizontalpodautoscaler');
});

it('without PUBLIC_URL the notes say what is refused', () => {
  const hint = 'Set settings.PUBLIC_URL';
  expect(notes(given)).toContain(hint);
  const https = 'https://mail.example.com';
  const giving = [
    { settings: { PUBLIC_URL: https } },
    { env: [{ name: 'PUBLIC_URL', value: https }] },
    // What is in there is not known.
    { envFrom: [{ configMapRef: { name: 'settings' } }] },
  ];
  for (const values of giving) expect(notes({ ...given, ...values })).not.toContain(hint);
});

it('an ingress that is not enabled is no way from outside', () => {
  const ingress = { enabled: true, hosts: ['mail.example.com'] };
  const way = 'From outside     https://mail.example.com/v1';
  expect(notes({ ...given, ingress })).toContain(way);
  expect(notes({ ...given, ingress: { ...ingress, enabled: false } })).not.toContain('From outside');
});

it('the API key is read out of the Secret that holds it, as it is', () => {
  const read = (secret: string, key: string) =>
    `get secret ${secret} --output go-template='{{ index .data "${key}" | base64decode }}'`;
  expect(notes(given)).toContain(read('postrider', 'admin'));
  // The chart's own knows it by another name, whatever `key` is.
  const own = { value: testApiKey, key: 'admin' };
  expect(notes({ ...given, apiKey: own })).toContain(read('pr-postrider', 'api-key'));
});

it('a stopped release gets a note about how to start it, and none about testing it', () => {
  const start = 'helm upgrade pr CHART --namespace mail --reset-then-reuse-values --set stopped=false';
  expect(notes({ ...given, stopped: true })).toContain(start);
  expect(notes({ ...given, stopped: true })).not.toMatch(/helm test|curl/);
  expect(notes(given)).not.toContain('stopped');
});
