/** Rendered objects against the schemas and types of Kubernetes, KEDA and the Prometheus operator. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubernetesObject } from './helm.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const packages: Readonly<Record<string, string>> = {
  'keda.sh': '@kubernetes-models/keda/keda.sh',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator/monitoring.coreos.com',
};

/** Where the model of a kind is: `kubernetes-models/apps/v1/Deployment`. */
function modelOf({ apiVersion, kind }: KubernetesObject): string {
  const [version = '', group] = apiVersion.split('/').toReversed();
  if (group === undefined) return `kubernetes-models/${version}/${kind}`;
  return `${packages[group] ?? `kubernetes-models/${group}`}/${version}/${kind}`;
}

/** @throws with every fault */
export async function expectValid(object: KubernetesObject): Promise<void> {
  const models = await import(modelOf(object));
  new models[object.kind](object).validate();
}

/**
 * The schemas let unknown fields pass, as Kubernetes does; the types do not, so the compiler finds what is misspelt.
 * @returns what it says, empty when all is well
 */
export function misspeltIn(objects: readonly KubernetesObject[]): string {
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const dir = mkdtempSync(join(cache, 'helm-'));
  const file = join(dir, 'objects.ts');
  const lines = objects.map(
    (object, index) =>
      `import type { I${object.kind} as I${index} } from '${modelOf(object)}';\nexport const o${index}: I${index} = ${JSON.stringify(object)};`,
  );
  writeFileSync(file, lines.join('\n'));
  const options = ['--noEmit', '--ignoreConfig', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', ''];
  try {
    execFileSync(join(root, 'node_modules/.bin/tsc'), [...options, file], { encoding: 'utf8', stdio: 'pipe' });
    return '';
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout ?? error);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
