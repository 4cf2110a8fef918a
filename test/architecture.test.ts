/** The shape of the code, held: who may import whom, who owns which library, that domain is pure, and how long a file may be. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

type Import = { readonly from: string; readonly isType: boolean };
type Source = {
  readonly path: string;
  readonly folder: string;
  readonly text: string;
  readonly imports: readonly Import[];
};

/** Folders whose running code a folder may import, beside its own; `import type` is free but for what `typesToo` bars. */
const mayRun: Record<string, readonly string[]> = {
  domain: [],
  concurrency: [],
  store: ['concurrency', 'domain'],
  queue: ['concurrency', 'domain'],
  outbound: ['concurrency', 'domain'],
  templating: ['domain'],
  telemetry: ['domain'],
  pipeline: ['domain'],
  http: ['pipeline', 'domain'],
  inbound: ['pipeline', 'domain'],
  cli: ['domain'],
};

/** These never see each other, not even by type: only app.ts introduces them. */
const strangers = ['store', 'queue', 'outbound', 'templating', 'telemetry'];

/** What cli.ts may run as well: it opens nothing, and says whether a file is right or what there is. */
const checks = ['src/outbound/transports-file.ts', 'src/telemetry/metrics.ts'];

/** A library is imported where it is owned and nowhere else, types included. */
const owners: Record<string, string> = {
  ioredis: 'store',
  snappy: 'store',
  bullmq: 'queue',
  nodemailer: 'outbound',
  undici: 'outbound',
  liquidjs: 'templating',
  'html-to-text': 'templating',
  fastify: 'http',
  'fastify-type-provider-zod': 'http',
  '@fastify/swagger': 'http',
  '@fastify/swagger-ui': 'http',
  'postal-mime': 'http',
  pino: 'telemetry',
  'pino-pretty': 'telemetry',
  'prom-client': 'telemetry',
};

/** What domain may import from outside, and what it may not call: it has no clock, no chance and no environment. */
const domainLibraries = ['zod', 'node:crypto'];
const clockOrChance =
  /\bDate\.now\b|\bDate\(\)|\(Date\)|\bperformance\.|\bperf_hooks\b|\bhrtime\b|\b(?:threadC|c)puUsage\b|\bMath\.random\b|\brandom(?:Bytes|UUID|Int|Fill|FillSync)\b|\bgetRandomValues\b/;
const impure = new RegExp(
  `${clockOrChance.source}|\\bprocess\\.|\\bsetTimeout\\b|\\bsetInterval\\b|\\bfetch\\(|\\bconsole\\.`,
);

/** Runs in a browser, which has clocks of its own. */
const isPage = (path: string) => path.startsWith('src/http/dev-inbox/');
/** Programs, which construct what they use; all else is given its clocks, ids and chance. */
const mayRunChance = (path: string) =>
  compositions.includes(path) || path === 'src/run.ts' || path.startsWith('src/cli/');

/** What loads code while it starts; all else has its code by then. Node.js keeps a load that failed, for want of a file handle, until the process ends. */
const starters = ['src/main.ts', 'src/cli.ts', 'src/app.ts', 'src/telemetry/log.ts'];

const maxLines = 300;
/** The composition root: what all roles have in common, and one file for each role. */
const compositions = [
  '',
  '-api',
  '-campaigns',
  '-connections',
  '-dispatch',
  '-emails',
  '-files',
  '-fleet',
  '-health',
  '-pressure',
  '-redis',
  '-start',
  '-worker',
  '-webhooks',
].map((role) => `src/app${role}.ts`);
const maxLinesOf: Record<string, number> = Object.fromEntries(compositions.map((path) => [path, 120]));

function readSources(top: string): Source[] {
  return readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(?:ts|cjs|js)$/.test(name))
    .map((name) => readSource(join(top, name)));
}

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  const [, folder = ''] = /^src\/(\w+)\//.exec(path) ?? [];
  return { path, folder, text, imports: [...importsOf(path, text)] };
}

function* importsOf(path: string, text: string): Generator<Import> {
  for (const [, clause = '', specifier = ''] of text.matchAll(/^(?:import|export)\s([^;]*?)\bfrom\s+'([^']+)'/gm)) {
    yield { from: resolve(path, specifier), isType: clause.startsWith('type ') };
  }
  for (const [, specifier = ''] of text.matchAll(/\bimport\(\s*'([^']+)'|^import\s+'([^']+)'/gm))
    yield { from: resolve(path, specifier), isType: false };
}

function resolve(path: string, specifier: string): string {
  return specifier.startsWith('.') ? relative(root, join(root, dirname(path), specifier)) : specifier;
}

/** What a file takes out of other files: `path name`. */
function* takenBy({ path, text }: Source): Generator<string> {
  for (const [, names = '', from = ''] of text.matchAll(/\{([^{}]*)\}\s*(?:from|= await import\()\s*'(\.[^']+)'/g))
    for (const [, name] of names.matchAll(/(?:^|,)\s*(?:type\s)?(\w+)/g)) yield `${resolve(path, from)} ${name}`;
  for (const [, from = '', name] of text.matchAll(/\(await import\('(\.[^']+)'\)\)\.(\w+)/g))
    yield `${resolve(path, from)} ${name}`;
}

/** Exports of src that no other file takes. */
function unusedExports(sources: readonly Source[]): string[] {
  const taken = new Set(sources.flatMap((source) => [...takenBy(source)]));
  return sources
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/^export (?:async )?(?:const|class|function\*?|type) (\w+)/gm)].map(
        ([, name]) => `${path} ${name}`,
      ),
    )
    .filter((name) => !taken.has(name));
}

/** Lines of code that match; comments may say anything. */
function linesWith(what: RegExp, text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !/^\s*(?:\/\/|\/?\*)/.test(line) && what.test(line))
    .map((line) => `has ${line.trim()}`);
}

function folderOf(imported: string): string | undefined {
  return /^src\/(\w+)\//.exec(imported)?.[1];
}

function library(imported: string): string | undefined {
  if (imported.startsWith('src/') || imported.startsWith('node:')) return undefined;
  return /^(?:@[^/]+\/)?[^/]+/.exec(imported)?.[0];
}

/** Every rule as a function from one source to what is wrong with it. */
const rules: Record<string, (source: Source) => string[]> = {
  'code runs only in the allowed direction': ({ folder, imports }) =>
    imports
      .filter(({ isType, from }) => !isType && mayRun[folder] !== undefined && folderOf(from) !== undefined)
      .filter(({ from }) => folderOf(from) !== folder && !mayRun[folder]?.includes(folderOf(from) ?? ''))
      .map(({ from }) => `runs ${from}`),
  'store, queue, outbound, templating and telemetry never see each other': ({ folder, imports }) =>
    imports
      .filter(
        ({ from }) =>
          strangers.includes(folder) && strangers.includes(folderOf(from) ?? '') && folderOf(from) !== folder,
      )
      .map(({ from }) => `imports ${from}`),
  'a pipeline stage runs nothing but domain': ({ folder, imports }) =>
    imports
      .filter(({ isType, from }) => folder === 'pipeline' && !isType && folderOf(from) !== 'domain')
      .map(({ from }) => `runs ${from}`),
  'only the composition root runs adapters': ({ path, folder, imports }) =>
    imports
      .filter(
        ({ isType, from }) =>
          folder === '' && !compositions.includes(path) && !isType && strangers.includes(folderOf(from) ?? ''),
      )
      .filter(({ from }) => !(path === 'src/cli.ts' && checks.includes(from)))
      .map(({ from }) => `runs ${from}`),
  'a library is imported by its owner only': ({ folder, imports }) =>
    imports
      .filter(({ from }) => owners[library(from) ?? ''] !== undefined && owners[library(from) ?? ''] !== folder)
      .map(({ from }) => `imports ${from}, which belongs to ${owners[library(from) ?? '']}`),
  'domain imports nothing but zod and node:crypto': ({ folder, imports }) =>
    imports
      .filter(({ from }) => folder === 'domain' && folderOf(from) !== 'domain' && !domainLibraries.includes(from))
      .map(({ from }) => `imports ${from}`),
  'domain has no clock, chance, environment or output': ({ folder, text }) =>
    folder === 'domain' ? linesWith(impure, text) : [],
  'clocks and chance are read in chance.ts only': ({ path, text }) =>
    path === 'src/chance.ts' || isPage(path) ? [] : linesWith(clockOrChance, text),
  'clocks and chance are given by programs only': ({ path, imports }) =>
    imports
      .filter(({ isType, from }) => from === 'src/chance.ts' && !isType && !mayRunChance(path))
      .map(({ from }) => `runs ${from}`),
  'config.ts is the only reader of process.env': ({ path, text }) =>
    path !== 'src/config.ts' && path !== 'src/setup.cjs' && /process\.env/.test(text) ? ['reads process.env'] : [],
  'code is loaded at the start': ({ path, text }) =>
    !starters.includes(path) && /\bawait import\(|\bcreateRequire\b/.test(text) ? ['loads code late'] : [],
  'a file opens with its job': ({ text }) => (/^(?:#!.*\n)?\/\*\*/.test(text) ? [] : ['has no opening sentence']),
  'no file is too long': ({ path, text }) => {
    const lines = text.split('\n').length - 1;
    const most = maxLinesOf[path] ?? maxLines;
    return lines > most ? [`has ${lines} lines, at most ${most}`] : [];
  },
};

describe('the code in src', () => {
  const sources = readSources('src');
  it.each(Object.entries(rules))('%s', (_, rule) => {
    expect(sources.flatMap((source) => rule(source).map((fault) => `${source.path} ${fault}`))).toEqual([]);
  });
});

it('every export of src is taken by another file of src, test or bench', () => {
  expect(unusedExports(['src', 'test', 'bench'].flatMap(readSources))).toEqual([]);
});

describe('tests and benchmarks', () => {
  it.each(['a file opens with its job', 'no file is too long'])('%s', (name) => {
    const sources = [...readSources('test'), ...readSources('bench')];
    expect(
      sources.flatMap((source) => (rules[name]?.(source) ?? []).map((fault) => `${source.path} ${fault}`)),
    ).toEqual([]);
  });
});

describe('each rule bites', () => {
  const offences: [rule: string, path: string, text: string][] = [
    ['code runs only in the allowed direction', 'src/http/x.ts', "import { openEmails } from '../store/emails.ts';"],
    [
      'store, queue, outbound, templating and telemetry never see each other',
      'src/store/x.ts',
      "import type { Log } from '../telemetry/log.ts';",
    ],
    ['a pipeline stage runs nothing but domain', 'src/pipeline/x.ts', "import { sleep } from 'node:timers';"],
    ['only the composition root runs adapters', 'src/main.ts', "import { openRedis } from './store/redis.ts';"],
    ['a library is imported by its owner only', 'src/queue/x.ts', "import type { Redis } from 'ioredis';"],
    [
      'domain imports nothing but zod and node:crypto',
      'src/domain/x.ts',
      "import { readFile } from 'node:fs/promises';",
    ],
    ['domain has no clock, chance, environment or output', 'src/domain/x.ts', 'const now = Date.now();'],
    ['clocks and chance are read in chance.ts only', 'src/outbound/x.ts', 'const startedAt = performance.now();'],
    ['clocks and chance are given by programs only', 'src/store/x.ts', "import { now } from '../chance.ts';"],
    ['config.ts is the only reader of process.env', 'src/http/x.ts', 'const port = process.env.PORT;'],
    ['code is loaded at the start', 'src/outbound/x.ts', "const { Agent } = await import('undici');"],
    ['a file opens with its job', 'src/http/x.ts', 'const x = 1;'],
    ['no file is too long', 'src/app.ts', '\n'.repeat(121)],
  ];

  it.each(offences)('%s', (name, path, text) => {
    const [, folder = ''] = /^src\/(\w+)\//.exec(path) ?? [];
    expect(rules[name]?.({ path, folder, text, imports: [...importsOf(path, text)] })).toHaveLength(1);
  });

  it('an export that no other file takes', () => {
    const file = (name: string, text: string) => ({ path: `src/${name}.ts`, folder: '', text, imports: [] });
    const exported = 'a, b, c, d, e'.replace(/(\w),? ?/g, 'export const $1 = 1;\n');
    const uses =
      "import { a, type b as z } from './x.ts';\nconst { c } = await import('./x.ts');\n(await import('./x.ts')).d;";
    expect(unusedExports([file('x', exported), file('y', uses)])).toEqual(['src/x.ts e']);
  });

  it('and none is without an offence here', () => {
    expect(offences.map(([name]) => name)).toEqual(Object.keys(rules));
  });
});
