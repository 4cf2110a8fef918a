/** The commands of helm/README.md, read by a real shell: the chart takes the values that they give. */
import { execFileSync } from 'node:child_process';
import { beforeEach, expect, it } from 'vitest';
import { blocksIn, readDocument, root } from './support/documents.ts';
import { helm, kubernetes, withoutHelm } from './support/helm.ts';

beforeEach(({ skip }) => skip(helm === null, withoutHelm));

/** In place of the programs: helm prints what it was given, a line for each command, and nobody asks a cluster or for chance. */
const instead = `helm() { printf '%s\\t' "$@"; echo; }
kubectl() { :; }
openssl() { head -c "$3" /dev/zero | od -An -v -tx1 | tr -d ' \\n'; }
`;

/** What helm is given by each command of a block. */
function commandsOf(code: string): string[][] {
  const printed = execFileSync('sh', ['-ec', instead + code], { encoding: 'utf8' });
  return printed.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t').slice(0, -1)]));
}

it('every helm command gives values that the chart takes', () => {
  const blocks = blocksIn(readDocument('helm/README.md')).filter(({ language }) => language === 'sh');
  const commands = blocks.flatMap(({ code }) => commandsOf(code));
  const rendered: string[] = [];
  /** What was set before, which an upgrade may reuse. */
  let before: string[] = [];
  for (const [verb = '', ...given] of commands) {
    if (verb !== 'install' && verb !== 'upgrade') continue;
    const own = given.filter((arg) => !/^--(?:reset-then-)?reuse-values$/.test(arg));
    const all = [...own.slice(0, 2), ...(own.length < given.length ? before : []), ...own.slice(2)];
    rendered.push(template(all));
    before = all.slice(2);
  }
  expect(rendered.length).toBeGreaterThanOrEqual(2);
  for (const objects of rendered) expect(objects).toContain('kind: Deployment');
});

/** @throws what helm says of values that the chart does not take */
function template(args: readonly string[]): string {
  const command = ['template', ...args, '--kube-version', kubernetes];
  return execFileSync(helm ?? '', command, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
