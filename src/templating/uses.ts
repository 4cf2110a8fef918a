/**
 * Finds the variables a template uses. The library's own analysis finds the line of each by reading the source from the start: a minute for a
 * template with many.
 */
import { type Template, TypeGuards, toValueSync, Value } from 'liquidjs';
import { type TemplatePart, templateParts, type VariableUse } from '../domain/template.ts';

type Use = { readonly root: string; readonly path: string };

/** @param parts null for a part that the template does not have */
export function usesOf(parts: { readonly [part in TemplatePart]: readonly Template[] | null }): VariableUse[] {
  const uses = new Map<string, { paths: Set<string>; usedIn: Set<TemplatePart> }>();
  for (const part of templateParts) {
    for (const { root, path } of globalsOf(parts[part] ?? [], new Set())) {
      const use = uses.get(root) ?? { paths: new Set(), usedIn: new Set() };
      uses.set(root, use);
      use.paths.add(path);
      use.usedIn.add(part);
    }
  }
  return [...uses].map(([key, { paths, usedIn }]) => ({ key, paths: [...paths], usedIn: [...usedIn] }));
}

/**
 * The variables in the order of their use: a name that is assigned later counts as a variable until then.
 * @param made names the template has set so far; it grows
 * @param inLoops names that are set only within this loop
 */
function* globalsOf(
  templates: readonly Template[],
  made: Set<string>,
  inLoops: readonly string[] = [],
): Generator<Use> {
  for (const template of templates) {
    for (const argument of template.arguments?.() ?? [])
      for (const use of usesIn(argument)) if (!made.has(use.root) && !inLoops.includes(use.root)) yield use;
    for (const { content } of template.localScope?.() ?? []) made.add(content);
    yield* globalsOf(innerOf(template), made, [...inLoops, ...(template.blockScope?.() ?? [])]);
  }
}

/** The templates between a tag and its end. */
export function innerOf(template: Template): Template[] {
  const inner: unknown = template.children === undefined ? [] : toValueSync(template.children(false, true));
  return Array.isArray(inner) ? inner : [];
}

/** The variables in a value with filters, or in one of its tokens. */
function* usesIn(argument: unknown): Generator<Use> {
  if (argument instanceof Value || TypeGuards.isFilteredValueToken(argument)) {
    for (const token of argument.initial.postfix) yield* usesIn(token);
    for (const { args } of argument.filters) for (const arg of args) yield* usesIn(Array.isArray(arg) ? arg[1] : arg);
  } else if (TypeGuards.isRangeToken(argument)) {
    yield* usesIn(argument.lhs);
    yield* usesIn(argument.rhs);
  } else if (TypeGuards.isPropertyAccessToken(argument)) {
    const [root, ...names] = argument.props;
    if (argument.variable === undefined && root !== undefined && 'content' in root)
      yield { root: String(root.content), path: argument.getText() };
    for (const name of names) yield* usesIn(name);
  }
}
