/** What helm/README.md has people type and write is what the chart takes. */
import { beforeEach, expect, it } from 'vitest';
import { parse } from 'yaml';
import { podsOf } from './support/chart-objects.ts';
import { given, valueSets } from './support/chart-values.ts';
import { blocksIn, readDocument, sectionOf } from './support/documents.ts';
import { helm, notes, render, withoutHelm } from './support/helm.ts';

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

const readme = readDocument('helm/README.md');
/** The name that the README gives a release. */
const release = 'postrider';

/** The blocks of a language below a heading, as one text. */
function typedIn(heading: string, language: string): string {
  const blocks = blocksIn(sectionOf(readme, heading)).filter((block) => block.language === language);
  return blocks.map(({ code }) => code).join('');
}

it('the Secrets for real mail hold what its values read from them, and are not Secrets of the chart', () => {
  const commands = typedIn('## For real mail', 'sh').replaceAll('\\\n', '');
  const made = [...commands.matchAll(/create secret generic (\S+)(.*)/g)].map(([, name = '', rest = '']) => ({
    name,
    keys: [...rest.matchAll(/--from-\w+=([\w.-]+)/g)].map(([, key]) => key),
  }));
  const objects = render(parse(typedIn('## For real mail', 'yaml')), { release });
  const taken = objects
    .filter(({ kind }) => kind === 'Deployment')
    .flatMap(({ spec }) => spec.template.spec.volumes)
    .flatMap((volume) => [
      ...(volume.projected?.sources ?? []).map(({ secret }) => ({ name: secret.name, key: secret.items[0]?.key })),
      ...(volume.secret ? [{ name: volume.secret.secretName, key: 'transports.yaml' }] : []),
    ]);
  expect(taken.map(({ name }) => name)).toEqual(expect.arrayContaining(made.map(({ name }) => name)));
  for (const { name, key } of taken) expect(made.find((secret) => secret.name === name)?.keys).toContain(key);
  const trial = render({ ...valueSets['to try it out'], smtp: {}, transports: { file: '{}' } }, { release });
  const own = trial.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name);
  expect(own).toEqual(['postrider', 'postrider-transports']);
  for (const { name } of made) expect(own).not.toContain(name);
});

it('the Pod of `helm test` is there when `--logs` reads from it', () => {
  for (const told of [typedIn('## To try it out', 'sh'), notes(given)]) expect(told).toMatch(/helm test .*--logs/);
  const hooks = render(given).map(({ metadata }) => metadata.annotations ?? {});
  expect(hooks.filter((hook) => hook['helm.sh/hook'])).toEqual([
    // Helm would delete one of `hook-succeeded` first, and then fail.
    { 'helm.sh/hook': 'test', 'helm.sh/hook-delete-policy': 'before-hook-creation' },
  ]);
});

it('an upgrade keeps the values that were given, and takes the defaults of a newer chart', () => {
  const upgrades = [...typedIn('## Upgrading', 'sh').matchAll(/^helm upgrade (.*)$/gm)].map(([, typed = '']) => typed);
  // A chart that does not take the values is to say so before the old version is stopped.
  const steps = upgrades.map((typed) => typed.match(/stopped=\w+|--dry-run/g));
  expect(steps).toEqual([['stopped=false', '--dry-run'], ['stopped=true'], ['stopped=false']]);
  for (const typed of upgrades) expect(typed).toContain('--reset-then-reuse-values');
  // The defaults of the old chart would stay, and leave out what the new one asks for.
  expect(blocksIn(readme).some(({ code }) => code.includes('--reuse-values'))).toBe(false);
});

it('the transports file and the files that it names are where the README says', () => {
  const [, said] = /- \*\*Transports\*\*.* are mounted in `(.+?)`/.exec(readme) ?? [];
  const values = parse(typedIn('## For real mail', 'yaml'));
  for (const { kind, spec } of render(values, { release })) {
    if (kind !== 'Deployment') continue;
    const [container] = spec.template.spec.containers;
    expect(container?.volumeMounts.find(({ name }) => name === 'transports')?.mountPath).toBe(said);
  }
});

it('the values for OpenShift leave every Pod its user to the cluster', () => {
  const [, example = ''] = /As another user.*?```yaml\n(.*?)```/s.exec(readme.replaceAll(/^ {2}/gm, '')) ?? [];
  const { podSecurityContext, valkey } = parse(example);
  const trial = { ...valueSets['to try it out'], podSecurityContext };
  const objects = render({ ...trial, valkey: { enabled: true, ...valkey } });
  const pods = podsOf(objects);
  expect(pods).toHaveLength(4);
  for (const { spec } of pods)
    expect(spec.securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
});
