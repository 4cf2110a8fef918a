/** Cache of compiled templates: each is compiled once in a process and kept while it is used and there is room. */
import {
  type CompiledTemplate,
  type TemplateContent,
  type TemplateFault,
  type TemplateUse,
  templateParts,
  versionIdOf,
} from '../domain/template.ts';
import { checkSource, compileTemplate } from './compile.ts';
import { makeTurns } from './turns.ts';

export type Templating = ReturnType<typeof openTemplating>;

/** A compiled version. It has faults when it was stored under older rules. */
type Compiled = CompiledTemplate | { readonly faults: readonly TemplateFault[] };

/** Characters of all cached sources. Compiled they take about twenty times as much memory. */
const maxKept = 4_000_000;
/** A template without a source counts as this many characters. */
const emptyLength = 1_000;

type Clocks = {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** CPU time of this thread in milliseconds. */
  cpuMs(): number;
};

export function openTemplating({ now, cpuMs }: Clocks) {
  /** The least recently used first. */
  const kept = new Map<string, { readonly compiled: Promise<Compiled | null>; length: number }>();

  function makeRoom(): void {
    let total = [...kept.values()].reduce((sum, { length }) => sum + length, 0);
    for (const [key, { length }] of kept) {
      if (total <= maxKept) return;
      kept.delete(key);
      total -= length;
    }
  }

  async function compile(key: string, load: () => Promise<TemplateContent | null>): Promise<Compiled | null> {
    try {
      const content = await load();
      const entry = kept.get(key);
      if (content === null) kept.delete(key);
      else if (entry !== undefined) entry.length = lengthOf(content);
      makeRoom();
      return content && compileTemplate(content, cpuMs);
    } catch (error) {
      kept.delete(key);
      throw error;
    }
  }

  return {
    checkSource,
    compile: (content: TemplateContent): Compiled => compileTemplate(content, cpuMs),

    /** The compiled version; null when `load` finds none. */
    compiled(use: TemplateUse, load: () => Promise<TemplateContent | null>): Promise<Compiled | null> {
      const key = versionIdOf(use);
      const known = kept.get(key);
      kept.delete(key);
      const entry = known ?? { compiled: Promise.resolve().then(() => compile(key, load)), length: 0 };
      kept.set(key, entry);
      return entry.compiled;
    },

    cpuMs,

    /** Called before each letter is made, which may keep the event loop busy for long: waits until it is its turn. */
    yieldTurn: makeTurns(now),
  };
}

function lengthOf(content: TemplateContent): number {
  return templateParts.reduce((sum, part) => sum + (content[part]?.length ?? 0), emptyLength);
}
