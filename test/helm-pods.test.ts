/** The Pods of the chart: what they mount, when they are alive and ready, and how they give way to new ones. */
import { beforeEach, describe, expect, it } from 'vitest';
import { containerOf, deploymentsOf, find, objectsOf, podsOf } from './support/chart-objects.ts';
import { transportsFile, valueSets } from './support/chart-values.ts';
import { type Container, helm, type KubernetesObject, type PodSpec, withoutHelm } from './support/helm.ts';
import { testApiKey, testSecretKey } from './support/postrider.ts';

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

const deployed = (name: string, role: 'api' | 'worker') => find(name, 'Deployment', `-${role}`).spec.template.spec;
const testPod = (name: string) => find(name, 'Pod', '-test').spec as unknown as PodSpec;

/** What a container reads at a path: of a Secret of the chart what is in it, of another its name and key. */
function readAt(path: string, spec: PodSpec, objects: readonly KubernetesObject[]): string | undefined {
  const mount = containerOf(spec).volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
  const volume = spec.volumes.find(({ name }) => name === mount?.name);
  const file = path.slice((mount?.mountPath.length ?? 0) + 1);
  const projected = volume?.projected?.sources.find(({ secret }) => secret.items.some((item) => item.path === file));
  const secret = projected?.secret.name ?? volume?.secret?.secretName;
  const key = projected?.secret.items.find((item) => item.path === file)?.key ?? file;
  if (secret === undefined) return undefined;
  const made = objects.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === secret);
  const held = made?.data[key];
  return held === undefined ? `${secret}/${key}` : Buffer.from(held, 'base64').toString();
}

/** What is read by each variable that names a file. */
function filesOf(name: string, spec: PodSpec) {
  const files = containerOf(spec).env.filter((variable) => variable.name.endsWith('_FILE'));
  return Object.fromEntries(
    files.map((variable) => [variable.name, readAt(variable.value ?? '', spec, objectsOf(name))]),
  );
}

describe('each file that a process is given', () => {
  it('is out of the Secret that was named, under the key that was named', () => {
    const name = 'Secrets that are there';
    const both = {
      SECRET_KEY_FILE: 'postrider/secret-key',
      REDIS_URL_FILE: 'redis/url',
      SMTP_URL_FILE: 'smtp/smtp-url',
    };
    expect(filesOf(name, deployed(name, 'api'))).toEqual({ ...both, POSTRIDER_API_KEY_FILE: 'postrider/admin' });
    expect(filesOf(name, deployed(name, 'worker'))).toEqual(both);
    const fromSecret = filesOf('transports from a Secret', deployed('transports from a Secret', 'worker'));
    expect(fromSecret).toMatchObject({ TRANSPORTS_FILE: 'transports/mail.yaml' });
  });

  it('holds the value that was given', () => {
    expect(filesOf('to try it out', deployed('to try it out', 'api'))).toEqual({
      SECRET_KEY_FILE: testSecretKey,
      SMTP_URL_FILE: 'smtp://mail.example.com:587',
      POSTRIDER_API_KEY_FILE: testApiKey,
    });
    expect(filesOf('a closed network', deployed('a closed network', 'worker'))).toMatchObject({
      REDIS_URL_FILE: 'rediss://redis.example.com:6380',
    });
    expect(filesOf('transports as a value', deployed('transports as a value', 'worker'))).toMatchObject({
      TRANSPORTS_FILE: transportsFile,
    });
  });

  it('is there for `helm test` as well', () => {
    const keyOf = (name: string) => {
      const path = containerOf(testPod(name)).args.find((arg) => arg.endsWith('/api-key')) ?? '';
      return readAt(path, testPod(name), objectsOf(name));
    };
    expect(keyOf('Secrets that are there')).toBe('postrider/admin');
    expect(keyOf('to try it out')).toBe(testApiKey);
  });

  it('may be read by the group of its volume, and by no one else', () => {
    const volumes = podsOf(Object.keys(valueSets).flatMap(objectsOf)).flatMap(({ spec }) => spec.volumes ?? []);
    const modes = volumes.map(({ secret, projected }) => secret?.defaultMode ?? projected?.defaultMode);
    expect(new Set(modes.filter((mode) => mode !== undefined))).toEqual(new Set([0o440]));
  });
});

it('a process has memory to write into, though its disk is read-only', () => {
  const spec = deployed('Secrets that are there', 'api');
  const { env, volumeMounts } = containerOf(spec);
  const dir = env.find(({ name }) => name === 'DATA_DIR')?.value ?? '';
  const mount = volumeMounts.find(({ mountPath }) => dir.startsWith(`${mountPath}/`));
  expect(spec.volumes.find(({ name }) => name === mount?.name)?.emptyDir).toEqual({
    medium: 'Memory',
    sizeLimit: '16Mi',
  });
});

const allowedSeconds = (probe: Container['startupProbe']) =>
  (probe?.periodSeconds ?? 0) * (probe?.failureThreshold ?? 0);

it('a process lives whether or not it is ready, and has time to start', () => {
  for (const { spec } of deploymentsOf('Secrets that are there')) {
    const { ports, startupProbe, livenessProbe, readinessProbe } = containerOf(spec.template.spec);
    expect(ports).toEqual([{ name: 'http', containerPort: 8080 }]);
    for (const probe of [startupProbe, livenessProbe]) expect(probe?.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'http' });
    expect(allowedSeconds(startupProbe)).toBeGreaterThanOrEqual(120);
    expect(allowedSeconds(livenessProbe)).toBeGreaterThanOrEqual(60);
    expect(allowedSeconds(readinessProbe)).toBeLessThanOrEqual(15);
  }
});

it('an old Pod goes only when a new one is ready', () => {
  for (const { spec } of deploymentsOf('Secrets that are there'))
    expect(spec.strategy).toEqual({ rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } });
});

it('Pods of a role are spread over nodes, then over zones', () => {
  for (const { spec } of deploymentsOf('Secrets that are there')) {
    const { topologySpreadConstraints } = spec.template.spec;
    expect(topologySpreadConstraints?.map(({ topologyKey }) => topologyKey)).toEqual([
      'kubernetes.io/hostname',
      'topology.kubernetes.io/zone',
    ]);
    for (const { labelSelector } of topologySpreadConstraints ?? []) expect(labelSelector).toEqual(spec.selector);
  }
  expect(deployed('settings and places', 'worker').topologySpreadConstraints).toEqual([
    { maxSkew: 2, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' },
  ]);
});

it('every Pod runs the image that was given, pulled with the Secrets that were given', () => {
  const image = `registry.example/postrider@sha256:${'0'.repeat(64)}`;
  const pods = podsOf(objectsOf('open to the world'));
  expect(pods).toHaveLength(3);
  for (const { spec } of pods) {
    expect(containerOf(spec).image).toBe(image);
    expect(spec.imagePullSecrets).toEqual([{ name: 'registry' }]);
  }
});

it('a process has the variables that were given, whole Secrets of them as well', () => {
  const { env, envFrom } = containerOf(deployed('transports as a value', 'worker'));
  expect(env).toContainEqual({ name: 'SES_USER', valueFrom: { secretKeyRef: { name: 'ses', key: 'user' } } });
  expect(envFrom).toEqual([{ secretRef: { name: 'ses' } }]);
});

it('a process runs under the account created for it, or under an existing one', () => {
  const { name } = find('Secrets that are there', 'ServiceAccount').metadata;
  expect(deployed('Secrets that are there', 'api').serviceAccountName).toBe(name);
  expect(deployed('settings and places', 'worker').serviceAccountName).toBe('mailer');
});

it('Pods have the labels and annotations that were given', () => {
  const { metadata } = find('settings and places', 'Deployment', '-api').spec.template;
  expect(metadata).toMatchObject({ annotations: { a: 'b' }, labels: { c: 'd' } });
});

it('the built-in Valkey writes to the volume that it is given', () => {
  const { template, volumeClaimTemplates } = find('to try it out', 'StatefulSet').spec;
  const { args, ports, volumeMounts, livenessProbe } = containerOf(template.spec);
  expect(volumeMounts).toEqual([{ name: 'data', mountPath: args[args.indexOf('--dir') + 1] }]);
  expect(volumeClaimTemplates).toMatchObject([
    { metadata: { name: 'data' }, spec: { storageClassName: 'fast', resources: { requests: { storage: '2Gi' } } } },
  ]);
  expect(ports?.map(({ name }) => name)).toEqual([livenessProbe?.tcpSocket?.port]);
});
