/** What the chart makes of each set of values, rendered once, and where in it things are. */
import { expect } from 'vitest';
import { valueSets } from './chart-values.ts';
import { type Container, type KubernetesObject, type PodSpec, render } from './helm.ts';

const rendered = new Map<string, readonly KubernetesObject[]>();

export function objectsOf(name: string): readonly KubernetesObject[] {
  const objects = rendered.get(name) ?? render(valueSets[name] ?? expect.unreachable(`there are values ${name}`));
  rendered.set(name, objects);
  return objects;
}

/** @param suffix what its name ends with */
export function find(name: string, kind: string, suffix = ''): KubernetesObject {
  const found = objectsOf(name).find((object) => object.kind === kind && object.metadata.name.endsWith(suffix));
  return found ?? expect.unreachable(`${name} has a ${kind} …${suffix}`);
}

export function deploymentsOf(name: string): readonly KubernetesObject[] {
  return objectsOf(name).filter(({ kind }) => kind === 'Deployment');
}

export type Pod = { readonly labels: Readonly<Record<string, string>>; readonly spec: PodSpec };

/** Every Pod that is made, by a workload or by itself. */
export function podsOf(objects: readonly KubernetesObject[]): readonly Pod[] {
  return objects.flatMap(({ kind, metadata, spec }) => {
    if (kind === 'Pod') return [{ labels: metadata.labels, spec: spec as unknown as PodSpec }];
    return spec?.template ? [{ labels: spec.template.metadata.labels, spec: spec.template.spec }] : [];
  });
}

/** The Pods that have all of these labels. */
export function podsWith(labels: object, objects: readonly KubernetesObject[]) {
  return podsOf(objects).filter((pod) => Object.entries(labels).every(([key, value]) => pod.labels[key] === value));
}

export function containerOf({ containers }: PodSpec): Container {
  return containers[0] ?? expect.unreachable('it has a container');
}
