/** Reads the text of a `TRANSPORTS_FILE`: YAML, filled in and parsed into a plan, or all its faults with line and column. */
import {
  type Alias,
  type Document,
  type ErrorCode,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { type DocumentFault, formatPath, type Path } from '../domain/document.ts';
import { fill, type Sources } from '../domain/fill.ts';
import type { TransportPlan } from '../domain/transport-plan.ts';
import { readTransportsDocument } from '../domain/transports-document.ts';

/** Limit for aliases and for what they expand to: a short file must not become gigabytes. */
const maxAliases = 100;
/** One syntax error causes others: only the first of each line is reported, up to this many. */
const maxSyntaxFaults = 20;

type Yaml = Document.Parsed<ParsedNode, true>;
/** `at` is an offset in the text. */
type FaultAt = { readonly at: number; readonly message: string };

/** Faults name keys, variables and files, never a value. */
export function readTransportsYaml(
  text: string,
  sources: Sources,
): TransportPlan | { readonly faults: readonly string[] } {
  const lines = new LineCounter();
  const yaml = parseDocument(text, {
    // Everything is text: `0123` may be a password, and `no` a name.
    schema: 'failsafe',
    stringKeys: true,
    uniqueKeys: false,
    // An excerpt of the file could show a password.
    prettyErrors: false,
    lineCounter: lines,
  });
  const read = readYaml(yaml, text, sources);
  if (!Array.isArray(read)) return read;
  const faults = read.toSorted((a, b) => a.at - b.at).map(({ at, message }) => `${placeOf(lines, at)}: ${message}`);
  return { faults: [...new Set(faults)] };
}

function placeOf(lines: LineCounter, at: number): string {
  const { line, col } = lines.linePos(at);
  return `line ${Math.max(line, 1)}, column ${Math.max(col, 1)}`;
}

function readYaml(yaml: Yaml, text: string, sources: Sources): TransportPlan | FaultAt[] {
  const broken = syntaxFaults(yaml, text);
  if (broken.length > 0) return broken;
  const isEmpty = yaml.contents === null || (isScalar(yaml.contents) && yaml.contents.source === '');
  if (isEmpty) return [{ at: 0, message: 'the file is empty: expected transports, routes, rules' }];
  const aliases = aliasesOf(yaml);
  const [tooMany] = aliases.slice(maxAliases);
  if (tooMany !== undefined) return [{ at: startOf(tooMany), message: `is one alias more than ${maxAliases}` }];
  const lost = aliases.filter((alias) => alias.resolve(yaml) === undefined);
  if (lost.length > 0)
    return lost.map((alias) => ({ at: startOf(alias), message: 'is an alias of nothing before it' }));

  const faults = repeatedKeys(yaml);
  const unfilled = fillIn(yaml, sources, faults);
  let document: unknown;
  try {
    document = yaml.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return [{ at: startOf(aliases.at(-1)), message: 'has aliases that unfold to too much' }];
  }
  const read = readTransportsDocument(document, sources.file);
  for (const fault of 'faults' in read ? read.faults : []) {
    const { at, node } = locate(yaml, fault);
    if (node !== null && unfilled.has(node)) continue;
    faults.push({ at, message: labelled(fault.on === 'key' ? fault.path.slice(0, -1) : fault.path, fault.message) });
  }
  return faults.length > 0 || 'faults' in read ? faults : read;
}

function labelled(path: Path, message: string): string {
  return `${path.length === 0 ? 'the file' : formatPath(path)}: ${message}`;
}

/** Our own words: those of the library may repeat a part of the file. */
const syntax: Readonly<Partial<Record<ErrorCode, string>>> = {
  BAD_DQ_ESCAPE: 'has a backslash in double quotes that begins no escape: use single quotes',
  BAD_INDENT: 'is not indented as it should be, or a bracket, a brace or a quote is not closed',
  BAD_SCALAR_START: 'begins with a character that needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'has a second colon in one line: put quotes around the text',
  MISSING_CHAR: 'lacks a comma, a colon, a space, a bracket or a closing quote',
  MULTIPLE_DOCS: 'is a second document (---), expected one',
  NON_STRING_KEY: 'has a key that is no text',
  RESOURCE_EXHAUSTION: 'is nested too deeply',
  TAB_AS_INDENT: 'is indented with a tab, expected spaces',
  TAG_RESOLVE_FAILED: 'has a tag, expected none',
};

function syntaxFaults(yaml: Yaml, text: string): FaultAt[] {
  const firsts = new Map<number, FaultAt>();
  for (const { pos, code } of [...yaml.errors, ...yaml.warnings].sort((a, b) => a.pos[0] - b.pos[0])) {
    const [at] = pos;
    const lineStart = text.lastIndexOf('\n', at - 1);
    const needsQuotes = code === 'UNEXPECTED_TOKEN' && text[at - 1] === '$';
    const words = needsQuotes ? 'has a value with $ and braces that needs quotes' : (syntax[code] ?? 'is not YAML');
    // A later unexpected token is a consequence of the first error.
    if (code === 'UNEXPECTED_TOKEN' && firsts.size > 0) continue;
    if (!firsts.has(lineStart)) firsts.set(lineStart, { at, message: words });
  }
  return [...firsts.values()].slice(0, maxSyntaxFaults);
}

function aliasesOf(yaml: Yaml): Alias[] {
  const aliases: Alias[] = [];
  visit(yaml, {
    Alias(_, alias) {
      aliases.push(alias);
    },
  });
  return aliases;
}

/** Not the check of the library, which compares every key with every other. */
function repeatedKeys(yaml: Yaml): FaultAt[] {
  const faults: FaultAt[] = [];
  visit(yaml, {
    Map(_, map, ancestors) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        const name = textOfKey(key);
        const path = pathTo(ancestors, map);
        if (seen.has(name)) faults.push({ at: startOf(key), message: labelled([...path, name], 'is given twice') });
        seen.add(name);
      }
    },
  });
  return faults;
}

/** Fills in variables after the YAML is parsed, so that a value cannot add YAML of its own. @returns the nodes that could not be filled in */
function fillIn(yaml: Yaml, sources: Sources, faults: FaultAt[]): Set<unknown> {
  const unfilled = new Set<unknown>();
  visit(yaml, {
    Scalar(key, scalar, ancestors) {
      if (key === 'key' || typeof scalar.value !== 'string' || !scalar.value.includes('$')) return;
      const filled = fill(scalar.value, sources);
      scalar.value = filled.text;
      if (filled.faults.length > 0) unfilled.add(scalar);
      const path = pathTo(ancestors, scalar);
      for (const message of filled.faults) faults.push({ at: startOf(scalar), message: labelled(path, message) });
    },
  });
  return unfilled;
}

/** The keys and numbers that lead to a node. */
function pathTo(ancestors: readonly unknown[], node: unknown): Path {
  const chain = [...ancestors, node];
  return chain.flatMap((one, depth): Path => {
    if (isPair(one)) return [textOfKey(one.key)];
    return isSeq(one) ? [one.items.indexOf(chain[depth + 1])] : [];
  });
}

/** Where a fault is shown: at a scalar, else at the key that holds the value. A missing key is shown at its parent. */
function locate(yaml: Yaml, { path, on }: DocumentFault): { readonly at: number; readonly node: unknown } {
  let node: unknown = yaml.contents;
  let at = 0;
  for (const [depth, part] of path.entries()) {
    const within = isAlias(node) ? node.resolve(yaml) : node;
    if (isMap(within)) {
      const pair = pairOf(within, part);
      if (pair === undefined) return { at, node: null };
      node = pair.value;
      const isKey = (on === 'key' && depth === path.length - 1) || !isScalar(node) || node.source === '';
      at = startOf(isKey ? pair.key : node);
    } else if (isSeq(within)) {
      node = within.items[Number(part)];
      at = startOf(node);
    }
  }
  return { at, node: on === 'key' ? null : node };
}

function pairOf(map: YAMLMap, key: string | number) {
  return map.items.findLast((pair) => textOfKey(pair.key) === String(key));
}

function textOfKey(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function startOf(node: unknown): number {
  return (node as Node | null | undefined)?.range?.[0] ?? 0;
}
