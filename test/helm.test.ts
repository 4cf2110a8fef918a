/** The chart, as helm renders it for each way to run Postrider. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../src/config.ts';
import { containerOf, deploymentsOf, find, objectsOf, podsOf } from './support/chart-objects.ts';
import { given, valueSets, wrongValues } from './support/chart-values.ts';
import { helm, type KubernetesObject, lint, type PodSpec, render, withoutHelm } from './support/helm.ts';
import { expectValid, misspeltIn } from './support/kubernetes-schemas.ts';
import { startPostrider, testApiKey, testSecretKey } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { openTestRedis } from './support/redis.ts';
import { isSetting } from './support/setting-names.ts';

const names = Object.keys(valueSets);
const all = () => names.flatMap(objectsOf);
const podOf = ({ spec }: KubernetesObject): PodSpec => spec.template.spec;

/** Values of the kind that people put into Secrets, by the name of the file they are mounted as. */
const dir = mkdtempSync(join(tmpdir(), 'pr-chart-'));
const secrets = {
  'api-key': testApiKey,
  'secret-key': testSecretKey,
  'redis-url': 'redis://h',
  'smtp-url': 'smtps://u:p@h',
};
for (const [name, secret] of Object.entries(secrets)) writeFileSync(join(dir, name), `${secret}\n`);
afterAll(() => rmSync(dir, { recursive: true }));

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

describe.each(names)('with %s', (name) => {
  it('is linted without a warning', () => {
    expect(lint(valueSets[name] ?? {})).toContain('0 chart(s) failed');
  });

  it('every object is one that Kubernetes takes', async () => {
    expect(objectsOf(name).length).toBeGreaterThanOrEqual(5);
    for (const object of objectsOf(name)) await expectValid(object);
  });

  it('each role has a configuration that production takes, and stops in time', () => {
    const deployments = deploymentsOf(name);
    expect(deployments.map(({ metadata }) => metadata.labels['app.kubernetes.io/component'])).toEqual([
      'api',
      'worker',
    ]);
    for (const deployment of deployments) {
      const { env, lifecycle } = containerOf(podOf(deployment));
      const own = env.filter((variable) => variable.value !== undefined);
      expect(own.filter((variable) => !isSetting(variable.name))).toEqual([]);
      const files = (value = '') => value.replace('/run/secrets/postrider', dir);
      const config = readConfig(Object.fromEntries(own.map(({ name, value }) => [name, files(value)])));
      expect([config.NODE_ENV, config.PORT, config.HEALTH_PORT ?? 8080]).toEqual(['production', 8080, 8080]);
      const pause = (lifecycle?.preStop.sleep.seconds ?? 0) * 1_000;
      const grace = deployment.spec.template.spec.terminationGracePeriodSeconds * 1_000;
      expect(grace).toBeGreaterThan(pause + config.SHUTDOWN_TIMEOUT + 3_000);
    }
  });

  it('no Pod may more than it needs', () => {
    for (const { spec } of podsOf(objectsOf(name))) {
      const { automountServiceAccountToken, enableServiceLinks, securityContext, containers, volumes } = spec;
      expect([automountServiceAccountToken, enableServiceLinks]).toEqual([false, false]);
      expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      for (const container of containers)
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      expect(volumes?.filter(({ emptyDir }) => emptyDir).length ?? 0).toBeLessThanOrEqual(1);
    }
  });

  it('whatever points at something finds it', () => {
    const deployments = deploymentsOf(name).map(({ metadata }) => metadata.name);
    const workloads = objectsOf(name).filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
    const podLabels = workloads.map(({ spec }) => spec.template.metadata.labels);
    const selects = (labels: object) =>
      podLabels.filter((has) => Object.entries(labels).every(([key, value]) => has[key] === value)).length;
    for (const { kind, spec } of objectsOf(name)) {
      if (spec?.scaleTargetRef) expect(deployments).toContain(spec.scaleTargetRef.name);
      if (kind === 'Service') expect(selects(spec.selector)).toBe(1);
      if (kind === 'PodDisruptionBudget' || kind === 'Deployment') expect(selects(spec.selector.matchLabels)).toBe(1);
    }
  });
});

it('no field of any object is misspelt', async () => {
  expect(misspeltIn(all())).toBe('');
  const deployment = find('nothing to spare', 'Deployment', '-api');
  const misspelt = { ...deployment, spec: { ...deployment.spec, minReadySecond: 1 } };
  expect(misspeltIn([misspelt])).toMatch(/minReadySecond.* does not exist/);
  await expect(expectValid({ ...deployment, spec: { ...deployment.spec, replicas: 1.5 } })).rejects.toThrow('replicas');
});

it.each(wrongValues)('refuses what cannot be right: %s', (why, values) => {
  expect(() => render(values)).toThrow(why);
});

it('the memory limit of a process covers all that it may have in hand by default, with not a byte less', () => {
  const { API_BODY_BYTES, WORKER_MAIL_BYTES } = readConfig({});
  const base = 192 * 2 ** 20;
  const least = { api: base + 5 * API_BODY_BYTES, worker: base + 14 * WORKER_MAIL_BYTES };
  for (const [role, bytes] of Object.entries(least)) {
    const limited = (memory: number) => render({ ...given, [role]: { resources: { limits: { memory } } } });
    expect(limited(bytes)).not.toEqual([]);
    expect(() => limited(bytes - 1)).toThrow(`${role}.resources.limits.memory is ${bytes - 1}`);
  }
});

it('names may be looked up at the Pods of a cluster that listen on another port', () => {
  const ports = (name: string) => find(name, 'NetworkPolicy', '-worker').spec.egress[0]?.ports;
  const both = (...numbers: number[]) =>
    numbers.flatMap((port) => ['UDP', 'TCP'].map((protocol) => ({ port, protocol })));
  expect(ports('to try it out')).toEqual(both(53, 5353));
  expect(ports('a closed network')).toEqual(both(5353));
});

it('a change of transports restarts nothing, one of a secret that is read once does', () => {
  const { smtp: _, ...rest } = given;
  const apiOf = (values: object) =>
    JSON.stringify(
      render({ ...rest, ...values }).find(
        ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'pr-postrider-api',
      ),
    );
  const file = (url: string) => ({ transports: { file: `transports: {a: {url: "${url}"}}` } });
  expect(apiOf(file('smtp://a.example'))).toBe(apiOf(file('smtp://b.example')));
  const url = (host: string) => ({ smtp: { url: `smtp://${host}.example` } });
  expect(apiOf(url('a'))).not.toBe(apiOf(url('b')));
});

it('the transports are mounted as a folder, in which a change of the Secret shows', () => {
  for (const deployment of deploymentsOf('transports from a Secret')) {
    const { env, volumeMounts } = containerOf(podOf(deployment));
    expect(env).toContainEqual({ name: 'TRANSPORTS_FILE', value: '/etc/postrider/transports/mail.yaml' });
    expect(volumeMounts).toContainEqual({ name: 'transports', mountPath: '/etc/postrider/transports', readOnly: true });
    expect(volumeMounts.every(({ subPath }) => subPath === undefined)).toBe(true);
  }
});

it('only the API has the admin key', () => {
  const { spec } = find('Secrets that are there', 'Deployment', '-worker');
  expect(JSON.stringify(spec)).not.toContain('api-key');
});

it('the Pod of `helm test` runs where the API may, and Valkey where it is put', () => {
  const placesOf = ({ nodeSelector, tolerations, affinity }: PodSpec) => ({ nodeSelector, tolerations, affinity });
  const { spec } = find('settings and places', 'Deployment', '-api').spec.template;
  expect(spec.affinity).toEqual({ nodeAffinity: {}, podAntiAffinity: {} });
  const expected = { ...placesOf(spec), affinity: { nodeAffinity: {} } };
  expect(expected.nodeSelector).toEqual({ pool: 'mail' });
  expect(placesOf(find('settings and places', 'Pod', '-test').spec as unknown as PodSpec)).toEqual(expected);
  expect(placesOf(find('to try it out', 'StatefulSet', '-valkey').spec.template.spec)).toEqual(expected);
});

it('a whole number stays one', () => {
  const { env } = containerOf(podOf(find('settings and places', 'Deployment', '-worker')));
  expect(env).toContainEqual({ name: 'MAX_WAITING_EMAILS', value: '5000000' });
});

it('workers are scaled by age with KEDA, else by CPU, and nothing else sets their number then', () => {
  const byAge = 'autoscaling on age, all metrics';
  // Where nothing is known of them, as while Redis is away, there are as many as there were.
  expect(find(byAge, 'ScaledObject', '-worker').spec.triggers).toMatchObject([
    { metadata: { threshold: '900', ignoreNullValues: 'false' } },
    { metadata: { threshold: '15', ignoreNullValues: 'false' } },
  ]);
  expect(objectsOf(byAge).filter(({ kind }) => kind === 'HorizontalPodAutoscaler')).toEqual([]);
  expect(find(byAge, 'Deployment', '-worker').spec.replicas).toBeUndefined();
  expect(find('autoscaling on CPU', 'HorizontalPodAutoscaler', '-worker').spec).toMatchObject({ maxReplicas: 30 });
  expect(find('nothing to spare', 'Deployment', '-worker').spec.replicas).toBe(1);
});

it('KEDA gets the credentials for Prometheus if it needs any', () => {
  for (const trigger of find('autoscaling on age, all metrics', 'ScaledObject', '-worker').spec.triggers)
    expect(trigger).toMatchObject({ authenticationRef: { name: 'prom' }, metadata: { authModes: 'tls,basic' } });
  const keda = { enabled: true, serverAddress: 'http://prometheus:9090', authenticationRef: 'pod-identity' };
  const objects = render({ ...given, worker: { autoscaling: { enabled: true }, keda } });
  for (const { metadata } of objects.find(({ kind }) => kind === 'ScaledObject')?.spec.triggers ?? [])
    expect(metadata).not.toHaveProperty('authModes');
});

it('while it is stopped no process runs, nothing starts one, and no alert misses one', () => {
  const name = 'stopped for an upgrade';
  expect(deploymentsOf(name).map(({ spec }) => spec.replicas)).toEqual([0, 0]);
  const kinds = objectsOf(name).map(({ kind }) => kind);
  expect(kinds).not.toContain('HorizontalPodAutoscaler');
  expect(kinds).not.toContain('ScaledObject');
  const rule = objectsOf(name).find(({ kind }) => kind === 'PrometheusRule');
  expect(JSON.stringify(rule)).not.toMatch(/absent/);
});

it('a new version of Postrider restarts no Valkey', () => {
  const { spec } = find('to try it out', 'StatefulSet', '-valkey');
  expect(spec.template.metadata.labels).toEqual(spec.selector.matchLabels);
});

it('the built-in Valkey is as durable as that of docker-compose.yml', () => {
  const compose = parse(readFileSync(new URL('../docker-compose.yml', import.meta.url), 'utf8'), { merge: true });
  const { image, args, startupProbe, readinessProbe } = containerOf(
    podOf(find('to try it out', 'StatefulSet', '-valkey')),
  );
  const command: string = compose.services.valkey.command;
  expect(image).toBe(compose.services.valkey.image);
  expect(args.map((arg) => arg.replace('384mb', '1gb') || "''")).toEqual(command.split(' '));
  const [, ...asked] = compose.services.valkey.healthcheck.test;
  for (const probe of [startupProbe, readinessProbe]) expect(probe?.exec?.command).toEqual(asked);
});

it('the email of `helm test` goes the whole way as soon as the API is ready', async () => {
  const place = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(place, 'listening');
  const { port } = place.address() as AddressInfo;
  const { spec } = find('Secrets that are there', 'Pod', '-test');
  const args = (spec as unknown as PodSpec).containers[0]?.args ?? [];
  expect(args.slice(-3)).toEqual([
    'http://pr-postrider:80',
    '/run/secrets/postrider/api-key',
    'postrider@sandbox.invalid',
  ]);
  const here = [...args.slice(0, -3), `http://127.0.0.1:${port}`, join(dir, 'api-key'), ...args.slice(-1)];
  await using sending = startProcess(process.execPath, here);
  await sending.printed(/not ready yet/);
  place.close();
  await once(place, 'close');
  await using redis = await openTestRedis();
  const env = { REDIS_URL: redis.url, SMTP_URL: 'smtp://127.0.0.1:9?tls=none', PORT: String(port) };
  await using _postrider = await startPostrider(env);
  expect(await sending.ended).toBe(0);
  expect(sending.output()).toMatch(/is delivered\n$/);
});
