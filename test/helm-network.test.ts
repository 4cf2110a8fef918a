/** Who finds whom in the cluster: Services, the way in, the reading of metrics, policies, and who scales and evicts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { containerOf, find, objectsOf, podsWith } from './support/chart-objects.ts';
import { valueSets } from './support/chart-values.ts';
import { chart, helm, type Peer, withoutHelm } from './support/helm.ts';

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

const component = 'app.kubernetes.io/component';
/** The peer that a shop is, in the values. */
const shop = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } };

/** The names of the ports of the Pods behind it. */
const portsBehind = (labels: object, name: string) =>
  podsWith(labels, objectsOf(name)).flatMap(({ spec }) => (containerOf(spec).ports ?? []).map((port) => port.name));

it.each(Object.keys(valueSets))('with %s a Service leads to a port of its Pods', (name) => {
  for (const { spec } of objectsOf(name).filter(({ kind }) => kind === 'Service'))
    expect(portsBehind(spec.selector, name)).toEqual(spec.ports.map(({ targetPort }) => targetPort));
});

it('the API is called at the port that was given, from as far as was given', () => {
  const service = find('open to the world', 'Service', 'mailer');
  expect(service.metadata.annotations).toEqual({ 'example.com/internal': 'true' });
  expect(service.spec).toMatchObject({ type: 'LoadBalancer', ports: [{ port: 80 }] });
  expect(find('Secrets that are there', 'Service').spec.type).toBe('ClusterIP');
});

it('the ingress leads each of its names to the API', () => {
  const { metadata, spec } = find('open to the world', 'Ingress');
  const service = find('open to the world', 'Service', 'mailer');
  expect(metadata.annotations).toEqual({ 'cert-manager.io/cluster-issuer': 'letsencrypt' });
  const backend = { service: { name: service.metadata.name, port: { name: service.spec.ports[0]?.name } } };
  const paths = ['/v1', '/docs', '/u'].map((path) => ({ path, pathType: 'Prefix', backend }));
  expect(spec).toEqual({
    ingressClassName: 'nginx',
    tls: [{ secretName: 'mail', hosts: ['mail.example.com'] }],
    rules: ['mail.example.com', 'mail.example.org'].map((host) => ({ host, http: { paths } })),
  });
});

describe('metrics', () => {
  const name = 'autoscaling on age, all metrics';

  it('are read of every Service of the API and of workers, where they are, under the name of the release', () => {
    const { spec } = find(name, 'ServiceMonitor');
    const services = objectsOf(name).filter(({ kind }) => kind === 'Service');
    expect(services.map(({ metadata }) => metadata.labels[component])).toEqual(['api', 'worker']);
    expect(spec.selector.matchExpressions).toEqual([{ key: component, operator: 'In', values: ['api', 'worker'] }]);
    expect(spec.namespaceSelector).toEqual({ matchNames: ['mail'] });
    const routes = Object.keys(parse(readFileSync(join(chart, '../openapi.yaml'), 'utf8')).paths);
    for (const { metadata, spec: of } of services) {
      expect(metadata.labels).toMatchObject(spec.selector.matchLabels);
      expect(metadata.labels[spec.jobLabel]).toBe('pr');
      expect(of.ports.map((port) => port.name)).toEqual(spec.endpoints.map(({ port }) => port));
    }
    expect(spec.endpoints).toEqual([{ port: 'http', path: '/metrics', interval: '15s' }]);
    expect(routes).toContain('/metrics');
  });

  it.each(['ServiceMonitor', 'PrometheusRule'])('a %s has the labels by which a Prometheus finds it', (kind) => {
    expect(find(name, kind).metadata.labels).toMatchObject({ release: 'prometheus' });
  });

  it('the dashboard has the labels by which Grafana finds it', () => {
    const { labels, annotations } = find(name, 'ConfigMap').metadata;
    expect(labels).toMatchObject({ grafana_dashboard: '1' });
    expect(annotations).toEqual({ grafana_folder: 'Mail' });
  });
});

it('workers are scaled between the numbers that were given', () => {
  const target = { type: 'Utilization', averageUtilization: 60 };
  for (const role of ['-api', '-worker'])
    expect(find('autoscaling on CPU', 'HorizontalPodAutoscaler', role).spec).toMatchObject({
      minReplicas: 3,
      maxReplicas: 30,
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }],
    });
  expect(find('autoscaling on age, all metrics', 'ScaledObject').spec).toMatchObject({
    minReplicaCount: 3,
    maxReplicaCount: 30,
    pollingInterval: 15,
    advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 300 } } } },
  });
});

it('an eviction takes as many Pods as was given, and any that is not ready', () => {
  const unhealthyPodEvictionPolicy = 'AlwaysAllow';
  for (const role of ['-api', '-worker']) {
    const budgetOf = (name: string) => find(name, 'PodDisruptionBudget', role).spec;
    expect(budgetOf('Secrets that are there')).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy });
    expect(budgetOf('settings and places')).toMatchObject({ maxUnavailable: '25%', unhealthyPodEvictionPolicy });
  }
});

describe('a network policy', () => {
  const closed = 'a closed network';
  const trial = 'to try it out';
  const policies = (name: string) => objectsOf(name).filter(({ kind }) => kind === 'NetworkPolicy');

  it.each([
    [closed, ['api', 'worker']],
    [trial, ['api', 'worker', 'valkey']],
  ])('is about one kind of Pods, and closes them both ways: %s', (name, roles) => {
    const about = policies(name).map(({ spec }) => podsWith(spec.podSelector.matchLabels, objectsOf(name)));
    expect(about.map((pods) => pods.map(({ labels }) => labels[component]))).toEqual(roles.map((role) => [role]));
    for (const { spec } of policies(name)) expect(spec.policyTypes).toEqual(['Ingress', 'Egress']);
  });

  /** Who comes in by which of the names of ports, and Pods of the chart as the role they have. */
  const comingTo = (name: string, suffix: string) =>
    find(name, 'NetworkPolicy', suffix).spec.ingress.map(({ ports, from }) => [
      ports.map(({ port }) => port),
      from?.map((peer) => roleOf(peer, name)),
    ]);
  const goingFrom = (name: string, suffix: string) =>
    find(name, 'NetworkPolicy', suffix).spec.egress.map(({ ports, to }) => [
      ports.map(({ port }) => port),
      to?.map((peer) => roleOf(peer, name)),
    ]);

  it('lets in callers, readers of metrics, and the Pod of `helm test`', () => {
    expect(comingTo(closed, '-api')).toEqual([[['http'], [shop, shop, ['test']]]]);
    expect(comingTo(closed, '-worker')).toEqual([[['http'], [shop]]]);
    expect(comingTo(trial, '-api')).toEqual([[['http'], undefined]]);
  });

  it('lets Postrider alone to the built-in Valkey, and Valkey nowhere', () => {
    expect(comingTo(trial, '-valkey')).toEqual([[['redis'], [['api'], ['worker']]]]);
    expect(goingFrom(trial, '-valkey')).toEqual([]);
  });

  it.each(['-api', '-worker'])('lets …%s go to names, Redis, SMTP servers and the web, and nowhere within', (role) => {
    const web = [
      {
        ipBlock: {
          cidr: '0.0.0.0/0',
          except: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', '100.64.0.0/10'],
        },
      },
      { ipBlock: { cidr: '::/0', except: ['fc00::/7', 'fe80::/10'] } },
    ];
    expect(goingFrom(closed, role)).toEqual([
      [[5353, 5353], undefined],
      [[6380], [shop]],
      [[465], [{ ipBlock: { cidr: '203.0.113.7/32' } }]],
      [[80, 443], web],
    ]);
    expect(goingFrom(trial, role).slice(1, 3)).toEqual([
      [[6379], [['valkey']]],
      [[25, 465, 587, 2525], undefined],
    ]);
  });
});

/** The roles of the Pods that it selects, or the peer as it was given. */
function roleOf(peer: Peer, name: string): unknown {
  const labels = peer.podSelector?.matchLabels;
  return labels === undefined ? peer : podsWith(labels, objectsOf(name)).map((pod) => pod.labels[component]);
}
