/** A TRANSPORTS_FILE on a real file system: opened, watched however it is replaced, and kept when the new one is wrong. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TransportPlan } from '../../src/domain/transport-plan.ts';
import {
  openTransportsFile,
  readTransportsFile,
  type TransportsFile,
  TransportsFileError,
} from '../../src/outbound/transports-file.ts';
import { makeCertificate } from '../support/certificate.ts';
import { until } from '../support/until.ts';

const everyMs = 20;

let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pr-transports-'));
  path = join(dir, 'transports.yaml');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A file with one transport. */
function fileWith(host: string, more = ''): string {
  return `transports:\n  mail: {host: ${host}${more}}\n`;
}

const secretOf = (name: string) => `, auth: {user: u, pass: "$${`{${name}}`}"}`;

type Watched = AsyncDisposable & {
  readonly file: TransportsFile;
  readonly plans: TransportPlan[];
  readonly faults: (readonly string[])[];
  /** Once for each time that it was right again with the plan as it was. */
  readonly mended: readonly string[];
  /** Waits until the plan has it. */
  planHas(part: string): Promise<void>;
};

async function watch(variables: Readonly<Record<string, string>> = {}, where = path): Promise<Watched> {
  const plans: TransportPlan[] = [];
  const faults: (readonly string[])[] = [];
  const mended: string[] = [];
  const file = await openTransportsFile({
    path: where,
    variable: (name) => variables[name],
    onChange: (plan) => plans.push(plan),
    onFault: (found) => faults.push(found),
    onMended: () => mended.push(where),
    reloadEveryMs: everyMs,
  });
  const seen = () => ({ plan: file.plan, faults });
  return {
    file,
    plans,
    faults,
    mended,
    planHas: async (part) => {
      await until(`a plan with ${part}`, () => JSON.stringify(file.plan).includes(part), seen);
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

/** Until a watcher of another file has seen and taken up several changes: others have looked as often. */
async function looksGoBy(): Promise<void> {
  const other = join(dir, 'other.yaml');
  await writeFile(other, fileWith('start.example'));
  await using watched = await watch({}, other);
  for (const host of ['two.example', 'six.example', 'ten.example']) {
    await writeFile(other, fileWith(host));
    await watched.planHas(host);
  }
}

async function faultsOfOpening(): Promise<readonly string[]> {
  const error = await watch().then(
    () => null,
    (error: unknown) => error,
  );
  if (!(error instanceof TransportsFileError)) throw error ?? new Error('It opened');
  for (const fault of error.faults) expect(error.message).toContain(fault);
  expect(error.message).toContain(path);
  expect(error.message).not.toContain('hunter2');
  return error.faults;
}

describe('at open', () => {
  it('the plan is there, with files named from where the file is', async () => {
    await using certificate = await makeCertificate();
    await writeFile(join(dir, 'ca.pem'), certificate.cert);
    await writeFile(join(dir, 'pass'), 'from a file\n');
    await writeFile(path, fileWith('h.example', `${secretOf('file:pass')}, tls: {ca_file: ca.pem}`));
    await using watched = await watch();
    expect(watched.file.plan.transports.mail).toMatchObject({ auth: { pass: 'from a file' }, ca: certificate.cert });
    expect(watched.plans).toEqual([]);
  });

  it('every fault is thrown at once, and none shows a secret', async () => {
    await writeFile(join(dir, 'pass'), 'hunter2');
    await writeFile(
      path,
      fileWith('hunter2!', `, port: hunter2, tls: none${secretOf('file:pass')}, rate: "$${'{NONE}'}"`),
    );
    expect(await faultsOfOpening()).toEqual([
      'line 2, column 16: transports.mail.host: expected a host name or an IP address',
      'line 2, column 32: transports.mail.port: expected a whole number from 1 to 65535',
      expect.stringContaining('transports.mail.rate: the variable NONE is not set'),
    ]);
  });

  it('a file that is unreadable, not text or too large is refused', async () => {
    expect(await faultsOfOpening()).toEqual(['the file cannot be read (ENOENT)']);
    await mkdir(path);
    expect(await faultsOfOpening()).toEqual(['the file is not a file']);
    await rm(path, { recursive: true });
    execFileSync('mkfifo', [path]);
    expect(await faultsOfOpening()).toEqual(['the file is not a file']);
    await rm(path);
    await writeFile(path, `transports: {}\n${'#'.repeat(256 * 1_024)}`);
    expect(await faultsOfOpening()).toEqual(['the file is larger than 256 KB']);
    await writeFile(path, Buffer.from([0x61, 0xff, 0xfe]));
    expect(await faultsOfOpening()).toEqual(['the file is not UTF-8']);
    await writeFile(join(dir, 'big'), 'x');
    await truncate(join(dir, 'big'), 1_024 * 1_024 + 1);
    await writeFile(path, fileWith('h.example', secretOf('file:big')));
    expect(await faultsOfOpening()).toEqual([
      expect.stringMatching(/^line 2, column \d+: .*auth.pass: the file big is larger than 1024 KB$/),
    ]);
  });
});

describe('a change is taken up', () => {
  it('when the file is written in place', async () => {
    await writeFile(path, fileWith('one.example'));
    await using watched = await watch();
    await writeFile(path, fileWith('two.example'));
    await watched.planHas('two.example');
    expect(watched.plans).toEqual([watched.file.plan]);
  });

  it('when another file is renamed into its place, also one of the same size and time', async () => {
    await writeFile(path, fileWith('one.example'));
    await using watched = await watch();
    for (const host of ['two.example', 'six.example', 'ten.example']) {
      await writeFile(join(dir, 'new'), fileWith(host));
      await rename(join(dir, 'new'), path);
      await watched.planHas(host);
    }
    expect(watched.plans).toHaveLength(3);
    expect(watched.faults).toEqual([]);
  });

  it('when a link to its folder is switched, as in a Kubernetes ConfigMap', async () => {
    for (const version of ['v1', 'v2']) {
      await mkdir(join(dir, version));
      await writeFile(join(dir, version, 'transports.yaml'), fileWith(`${version}.example`, secretOf('file:pass')));
      await writeFile(join(dir, version, 'pass'), `pass of ${version}`);
    }
    await symlink('v1', join(dir, '..data'));
    await symlink(join('..data', 'transports.yaml'), path);
    await symlink(join('..data', 'pass'), join(dir, 'pass'));
    await using watched = await watch();
    await symlink('v2', join(dir, '..data_tmp'));
    await rename(join(dir, '..data_tmp'), join(dir, '..data'));
    await watched.planHas('v2.example');
    await watched.planHas('pass of v2');
    expect(watched.faults).toEqual([]);
  });

  it('when only a file that it names has changed', async () => {
    await using first = await makeCertificate();
    await using second = await makeCertificate();
    await writeFile(join(dir, 'ca.pem'), first.cert);
    await writeFile(join(dir, 'pass'), 'old');
    await writeFile(path, fileWith('h.example', `${secretOf('file:pass')}, tls: {ca_file: ca.pem}`));
    await using watched = await watch();
    await writeFile(join(dir, 'pass'), 'new');
    await watched.planHas('"pass":"new"');
    await writeFile(join(dir, 'ca.pem'), second.cert);
    await watched.planHas(JSON.stringify(second.cert));
    expect(watched.plans).toHaveLength(2);
  });

  it('at once when that is asked for', async () => {
    await writeFile(path, fileWith('one.example'));
    await using watched = await watch();
    await writeFile(path, fileWith('two.example'));
    expect(await watched.file.reload()).toBe('changed');
    expect(await watched.file.reload()).toBe('same');
    expect(watched.file.plan.transports.mail?.host).toBe('two.example');
    await writeFile(path, 'nothing');
    for (let i = 0; i < 2; i++)
      expect(await watched.file.reload()).toEqual({ faults: [expect.stringContaining('line 1')] });
    expect(watched.file.plan.transports.mail?.host).toBe('two.example');
    expect(watched.plans).toHaveLength(1);
  });

  it('but counts as no change when the plan is the same', async () => {
    await writeFile(path, fileWith('one.example'));
    await using watched = await watch();
    await writeFile(path, `# the same\n${fileWith('one.example')}`);
    await looksGoBy();
    expect(watched.plans).toEqual([]);
  });
});

describe('a file that has become wrong', () => {
  it('leaves the plan as it is, is reported once for each content, and counts no more when it is right again', async () => {
    await writeFile(path, fileWith('one.example'));
    await using watched = await watch({ PASS: 'hunter2' });
    const { faults, file } = watched;
    const tells = (count: number) =>
      until(
        `${count} times told`,
        () => faults.length >= count,
        () => faults,
      );

    await writeFile(path, fileWith('two.example', `, port: hunter2${secretOf('PASS')}`));
    await tells(1);
    await writeFile(path, fileWith('two.example', `, port: hunter2${secretOf('NONE')}`));
    await tells(2);
    await rm(path);
    await tells(3);
    expect(file.plan.transports.mail?.host).toBe('one.example');
    expect(faults).toEqual([
      ['line 2, column 35: transports.mail.port: expected a whole number from 1 to 65535'],
      [
        'line 2, column 35: transports.mail.port: expected a whole number from 1 to 65535',
        expect.stringContaining('transports.mail.auth.pass: the variable NONE is not set'),
      ],
      ['the file cannot be read (ENOENT)'],
    ]);

    await writeFile(path, fileWith('two.example', secretOf('PASS')));
    await watched.planHas('two.example');
    expect(file.plan.transports.mail).toMatchObject({ auth: { pass: 'hunter2' } });
    expect(faults).toHaveLength(3);
    expect(watched.plans).toHaveLength(1);
  });

  it('is reported once it is corrected to its earlier content, without a change of the plan', async () => {
    await writeFile(path, fileWith('one.example'));
    await using watched = await watch();
    await writeFile(path, 'transports: 7');
    await until('it is told', () => watched.file.isWrong && watched.faults.length > 0);
    await writeFile(path, fileWith('one.example'));
    await until('it is told', () => watched.mended.length > 0);
    expect([watched.file.isWrong, watched.plans, watched.mended.length]).toEqual([false, [], 1]);
  });

  it('is not reported again while it stays as it is', async () => {
    await writeFile(path, fileWith('one.example'));
    await using watched = await watch();
    await writeFile(path, 'transports: 7');
    await until('it is told', () => watched.faults.length > 0);
    await looksGoBy();
    expect(watched.faults).toHaveLength(1);
  });
});

it('a file that is still being written is not taken up', async () => {
  await writeFile(path, fileWith('one.example'));
  await using watched = await watch();
  // Every look finds another half, each of them a right file by itself.
  const begun = performance.now();
  for (let half = 0; performance.now() - begun < 20 * everyMs; half += 1) {
    await writeFile(join(dir, 'half'), fileWith(`half-${half}.example`));
    await rename(join(dir, 'half'), path);
  }
  await writeFile(path, fileWith('whole.example'));
  await watched.planHas('whole.example');
  expect(watched.plans.length).toBeLessThan(4);
});

it('a file is no longer read once it is closed', async () => {
  await writeFile(path, fileWith('one.example'));
  const watched = await watch();
  await watched.file[Symbol.asyncDispose]();
  await writeFile(path, fileWith('two.example'));
  await using next = await watch();
  await writeFile(path, fileWith('six.example'));
  await next.planHas('six.example');
  expect(watched.plans).toEqual([]);
  expect(watched.file.plan.transports.mail?.host).toBe('one.example');
});

it('a file can be read once without following it', async () => {
  await writeFile(path, fileWith('one.example', secretOf('PASS')));
  expect(await readTransportsFile(path, () => 'p')).toMatchObject({ transports: { mail: { host: 'one.example' } } });
  expect(await readTransportsFile(path, () => undefined)).toEqual({
    faults: ['line 2, column 51: transports.mail.auth.pass: the variable PASS is not set'],
  });
});
