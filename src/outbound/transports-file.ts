/** `TRANSPORTS_FILE`: reads the plan from it and the files it names, and keeps it up to date while the process lives. */
import { createHash } from 'node:crypto';
import { constants, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { FileRead } from '../domain/fill.ts';
import type { PlanReading, TransportPlan } from '../domain/transport-plan.ts';
import { readTransportsYaml } from './transports-yaml.ts';

/** A hundred times the size of a long file. */
const maxDocumentBytes = 256 * 1_024;
/** The certificates of a system (ca-certificates.crt) have 220 KB. */
const maxNamedFileBytes = 1_024 * 1_024;

type Variable = (name: string) => string | undefined;
type Faults = { readonly faults: readonly string[] };

export type TransportsFile = AsyncDisposable & {
  /** The last valid plan. */
  readonly plan: TransportPlan;
  /** Whether the file is wrong now: then the plan is that of an earlier content. */
  readonly isWrong: boolean;
  /** Reads the file again at once. Every result but `same` also calls its listener. */
  reload(): Promise<PlanReading>;
};

type TransportsFileOptions = {
  readonly path: string;
  /** The value of `${NAME}`; undefined when it is not set. */
  readonly variable: Variable;
  /** Called with each plan that differs from the one before. Must not throw. */
  onChange(plan: TransportPlan): void;
  /** Called once for each wrong content of the file; the plan stays as it was. Must not throw. */
  onFault(faults: readonly string[]): void;
  /** Called when the file was wrong and is right again, with an unchanged plan. Must not throw. */
  onMended(): void;
  /** A change counts when two looks in a row find it, so that a half-written file is never read. */
  readonly reloadEveryMs?: number;
};

export class TransportsFileError extends Error {
  readonly faults: readonly string[];
  constructor(path: string, faults: readonly string[]) {
    super(`TRANSPORTS_FILE (${path}) is wrong:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}

/**
 * Compares contents instead of watching file system events: events miss a file that is renamed into place or behind a link that is
 * switched (a Kubernetes ConfigMap), and do not exist on network file systems.
 * @throws TransportsFileError with every fault
 */
export async function openTransportsFile(options: TransportsFileOptions): Promise<TransportsFile> {
  const { path, variable, onChange, onFault, onMended, reloadEveryMs = 1_000 } = options;
  const stop = new AbortController();
  let { result, seen } = await load(path, variable);
  if ('faults' in result) throw new TransportsFileError(path, result.faults);
  let plan = result;
  let turn: Promise<unknown> = Promise.resolve();
  let changedTo: string | null = null;

  async function take(): Promise<PlanReading> {
    const wasWrong = 'faults' in result;
    changedTo = null;
    ({ result, seen } = await load(path, variable));
    if ('faults' in result) {
      onFault(result.faults);
      return result;
    }
    const isOther = !isDeepStrictEqual(plan, result);
    plan = result;
    if (isOther) onChange(plan);
    else if (wasWrong) onMended();
    return isOther ? 'changed' : wasWrong ? 'mended' : 'same';
  }

  async function look(): Promise<void> {
    const found = hashOf(await readAgain(seen));
    if (found === hashOf(seen)) changedTo = null;
    else if (found !== changedTo) changedTo = found;
    else await take();
  }

  /** Runs looks and reloads one after the other: an earlier look must not undo a reload. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => {});
    return mine;
  }

  async function watch(): Promise<void> {
    while (!stop.signal.aborted) {
      await sleep(reloadEveryMs, undefined, { signal: stop.signal }).catch(() => {});
      if (!stop.signal.aborted) await inTurn(look);
    }
  }

  const ended = watch();
  return {
    get plan() {
      return plan;
    },
    get isWrong() {
      return 'faults' in result;
    },
    reload: () => inTurn(take),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      await turn;
    },
  };
}

/** Reads the file once, for a command that only checks it. */
export async function readTransportsFile(path: string, variable: Variable): Promise<TransportPlan | Faults> {
  return (await load(path, variable)).result;
}

/** What was read, by path: the file itself first, then the files it names. */
type Seen = ReadonlyMap<string, FileRead>;

/** The files it names are known only while it is filled in: the missing ones are read, then it is filled in again. */
async function load(path: string, variable: Variable): Promise<{ result: TransportPlan | Faults; seen: Seen }> {
  const document = await readFile(path, maxDocumentBytes);
  const seen = new Map([[resolve(path), document]]);
  if ('fault' in document) return { result: { faults: [`the file ${document.fault}`] }, seen };
  for (;;) {
    const wanted = new Set<string>();
    const file = (name: string): FileRead => {
      const full = resolve(dirname(path), name);
      const read = seen.get(full);
      if (read === undefined) wanted.add(full);
      return read ?? { fault: 'has not been read' };
    };
    const result = readTransportsYaml(document.text, { variable, file });
    if (wanted.size === 0) return { result, seen };
    for (const name of wanted) seen.set(name, await readFile(name, maxNamedFileBytes));
  }
}

async function readAgain(seen: Seen): Promise<Seen> {
  const again = new Map<string, FileRead>();
  for (const name of seen.keys())
    again.set(name, await readFile(name, again.size === 0 ? maxDocumentBytes : maxNamedFileBytes));
  return again;
}

/** A hash that is equal for equal contents. */
function hashOf(seen: Seen): string {
  return createHash('sha256')
    .update(JSON.stringify([...seen]))
    .digest('hex');
}

/** A fault never repeats content, because faults are shown. */
async function readFile(path: string, maxBytes: number): Promise<FileRead> {
  try {
    // Without O_NONBLOCK, opening a pipe without a writer would wait for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await file.stat();
    if (!found.isFile()) return { fault: 'is not a file' };
    const bytes = found.size > maxBytes ? null : await file.readFile();
    if (bytes === null || bytes.length > maxBytes) return { fault: `is larger than ${maxBytes / 1_024} KB` };
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    if (error instanceof TypeError) return { fault: 'is not UTF-8' };
    return { fault: `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})` };
  }
}
