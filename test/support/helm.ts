/** The chart in helm/, linted and rendered by the real helm. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';

export const chart = fileURLToPath(new URL('../../helm', import.meta.url));
export const withoutHelm = 'helm was not found: npm test installs it where Go is, with `go install`';

/** What a helm that was built by `go install` does not know by itself. */
export const kubernetes = '1.33.0';

/** On the PATH, or where Go puts what it installs. */
export const helm = findHelm();

function findHelm(): string | null {
  const { GOBIN, GOPATH } = process.env;
  const places = ['helm', join(GOBIN || join(GOPATH || join(homedir(), 'go'), 'bin'), 'helm')];
  return places.find((place) => spawnSync(place, ['version']).status === 0) ?? null;
}

export type Values = Readonly<Record<string, unknown>>;

/** Fields that tests reach into; what an object really has is held by Kubernetes' schemas. */
export type KubernetesObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Spec;
  readonly data: Readonly<Record<string, string>>;
};
type Spec = {
  readonly replicas?: number;
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>>; readonly matchExpressions?: object };
  readonly template: { readonly metadata: KubernetesObject['metadata']; readonly spec: PodSpec };
  readonly strategy: object;
  readonly scaleTargetRef: { readonly name: string };
  readonly type: string;
  readonly policyTypes: readonly string[];
  readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly volumeClaimTemplates: readonly object[];
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly for: string;
      readonly labels: object;
    }[];
  }[];
  readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[];
  readonly ingress: readonly { readonly ports: readonly PolicyPort[]; readonly from?: readonly Peer[] }[];
  readonly egress: readonly { readonly ports: readonly PolicyPort[]; readonly to?: readonly Peer[] }[];
  readonly jobLabel: string;
  readonly namespaceSelector: object;
  readonly endpoints: readonly { readonly port: string; readonly path: string; readonly interval: string }[];
  readonly triggers: readonly { readonly metadata: { readonly query: string; readonly threshold: string } }[];
};
type PolicyPort = { readonly port: number | string; readonly protocol?: string };
/** Pods of the chart, or anything that was given. */
export type Peer = { readonly podSelector?: { readonly matchLabels: Readonly<Record<string, string>> } };
export type PodSpec = {
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly serviceAccountName?: string;
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly object[];
  readonly affinity?: object;
  readonly topologySpreadConstraints?: readonly { readonly topologyKey: string; readonly labelSelector: object }[];
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
};
type Volume = {
  readonly name: string;
  readonly emptyDir?: object;
  readonly secret?: { readonly secretName: string; readonly defaultMode: number };
  readonly projected?: {
    readonly defaultMode: number;
    readonly sources: readonly {
      readonly secret: {
        readonly name: string;
        readonly items: readonly { readonly key: string; readonly path: string }[];
      };
    }[];
  };
};
type Probe = {
  readonly exec?: { readonly command: readonly string[] };
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly tcpSocket?: { readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
};
export type Container = {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
    readonly readOnly?: boolean;
  }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly envFrom?: readonly object[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
};

/** Runs helm on the chart with these values. @throws what helm said */
function runHelm(command: readonly string[], values: Values): string {
  if (helm === null) throw new Error(withoutHelm);
  const dir = mkdtempSync(join(tmpdir(), 'pr-helm-'));
  try {
    // JSON is YAML.
    writeFileSync(join(dir, 'values.json'), JSON.stringify(values));
    const args = [
      ...command,
      '--kube-version',
      kubernetes,
      '--namespace',
      'mail',
      '--values',
      join(dir, 'values.json'),
    ];
    return execFileSync(helm, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export function lint(values: Values): string {
  return runHelm(['lint', '--strict', chart], values);
}

/** What is told after an installation: helm prints it to whoever has a cluster, so it is rendered as an object of a copy of the chart. */
export function notes(values: Values): string {
  const dir = mkdtempSync(join(tmpdir(), 'pr-notes-'));
  try {
    cpSync(chart, dir, { recursive: true });
    const told = readFileSync(join(dir, 'templates/NOTES.txt'), 'utf8');
    const object = `{{- define "told" }}${told}{{ end }}\nnotes: {{ include "told" . | toJson }}\n`;
    writeFileSync(join(dir, 'templates/notes.yaml'), object);
    return parse(runHelm(['template', 'pr', dir, '--show-only', 'templates/notes.yaml'], values)).notes;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** @param from another chart, which has ours as a part */
export function render(values: Values, { release = 'pr', from = chart } = {}): readonly KubernetesObject[] {
  const documents = parseAllDocuments(runHelm(['template', release, from], values), {
    // As Kubernetes reads it: 0440 is octal.
    version: '1.1',
  });
  return documents.map((document) => document.toJS()).filter((object) => object !== null);
}
