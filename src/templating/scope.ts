/** What the names in a template mean while it is rendered. */
import { Context } from 'liquidjs';
import type { Meter } from './limits.ts';

export type Path = readonly string[];

type Given = { readonly options: ConstructorParameters<typeof Context>[2]; readonly meter: Meter };

/** The variables, and those found missing: a missing one counts as empty from then on, so that all others are found too. */
export class Scope extends Context {
  readonly missing = new Map<string, Path>();
  readonly meter: Meter;
  /** Variables the template set itself, innermost scope last. The library keeps the same list, but privately. */
  readonly #made: object[] = [this.bottom()];

  constructor(variables: object, liquid: NonNullable<Context['liquid']>, { options, meter }: Given) {
    super(variables, liquid.options, options, { liquid });
    this.meter = meter;
  }

  override push(scope: object): number {
    this.#made.push(scope);
    return super.push(scope);
  }

  override pop() {
    this.#made.pop();
    return super.pop();
  }

  /** For the items of a list, one by one: a member that one item lacks is not missing. */
  override spawn(scope?: object): Context {
    const context = super.spawn(scope);
    context.strictVariables = false;
    return context;
  }

  /** Looks up a path without generators; the library uses five. */
  look(path: readonly (string | number)[]): unknown {
    const [root = ''] = path;
    let value: unknown = this.#made.findLast((scope) => root in scope);
    value ??= root in this.environments ? this.environments : this.globals;
    let depth = 0;
    for (const key of path) {
      value = this.readProperty(value as object, key);
      depth++;
      if (value === undefined && this.strictVariables) {
        const missing = path.slice(0, depth).map(String);
        this.missing.set(missing.join('.'), missing);
        return null;
      }
    }
    return value;
  }

  override *_getFromScope(
    scope: unknown,
    paths: Parameters<Context['_getFromScope']>[1],
    isStrict: boolean = this.strictVariables,
  ): IterableIterator<unknown> {
    try {
      return yield super._getFromScope(scope, paths, isStrict);
    } catch (error) {
      if (this.missing.has(missingIn(error) ?? '')) return null;
      throw error;
    }
  }
}

/** The variable that was undefined; null for any other error. */
export function missingIn(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('variableName' in error)) return null;
  return String(error.variableName);
}
