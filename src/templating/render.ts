/**
 * Renders the nodes of a template in place of the library's own way: limited, fast for plain nodes, and with the names of all missing variables.
 */
import { type Context, type Emitter, Output, type Template, TokenKind, UndefinedVariableError } from 'liquidjs';
import { charge } from './limits.ts';
import { missingIn, Scope } from './scope.ts';
import { textOf } from './values.ts';

/** Writes the output of a template and counts it. */
class Writer implements Emitter {
  buffer = '';
  readonly #context: Context;
  constructor(context: Context) {
    this.#context = context;
  }

  write(value: unknown): void {
    const text = typeof value === 'string' ? value : textOf(value, this.#context);
    charge(this.#context, text.length);
    this.keep(text);
  }

  protected keep(text: string): void {
    this.buffer += text;
  }
}

/** Keeps the pieces separate: text of the template is the same string for every recipient. */
export class PieceWriter extends Writer {
  readonly pieces: string[] = [];

  protected override keep(text: string): void {
    if (text !== '') this.pieces.push(text);
  }
}

/** The content of `capture` is written here too. A node that lacks a variable has written nothing yet, so it can be rendered again. */
export function* renderTemplates(
  templates: Template[],
  context: Context,
  emitter: Emitter = new Writer(context),
): Generator<unknown, string> {
  for (const template of templates) {
    let rendering: unknown = template.render(context, emitter);
    while (rendering !== undefined) {
      try {
        const made: unknown = yield rendering;
        if (made) emitter.write(made);
        rendering = undefined;
      } catch (error) {
        noteMissing(error, context);
        rendering = template.render(context, emitter);
      }
    }
    if (context.breakCalled || context.continueCalled) break;
  }
  return emitter.buffer;
}

/** @throws the error, unless it is about a variable that was not yet known to be missing */
function noteMissing(error: unknown, context: Context): void {
  if (!(context instanceof Scope) || !(error instanceof UndefinedVariableError)) throw error;
  const name = missingIn(error.originalError);
  if (name === null || context.missing.has(name)) throw error;
  context.missing.set(name, name.split('.'));
}

/**
 * Renders text and variables without filters by a plain function: they are most of a letter, and the library's generators take ten times as
 * long.
 * @param put turns a value into the text that is written
 */
export function quicken(template: Template, put: (value: unknown, context: Context) => string): void {
  const { token } = template;
  if (token.kind === TokenKind.HTML && 'getContent' in token && typeof token.getContent === 'function') {
    const text: string = token.getContent();
    template.render = (context, emitter) => {
      if (context instanceof Scope) context.meter.tick();
      emitter.write(text);
    };
    return;
  }
  const path = template instanceof Output ? plainPath(template) : null;
  if (path === null) return;
  const usual = template.render.bind(template);
  template.render = (context, emitter) => {
    if (!(context instanceof Scope)) return usual(context, emitter);
    context.meter.tick();
    emitter.write(put(context.look(path), context));
  };
}

/** The names in `order.total`; null for an output with filters, operators, or names that are variables. */
function plainPath({ value: { initial, filters } }: Output): (string | number)[] | null {
  const [token, ...more] = initial.postfix;
  // The library adds a filter without a name, the one that escapes.
  if (more.length > 0 || filters.some(({ name }) => /^\w+$/.test(name))) return null;
  if (token?.kind !== TokenKind.PropertyAccess || !('props' in token) || !Array.isArray(token.props)) return null;
  if ('variable' in token && token.variable !== undefined) return null;
  const path = token.props.map((prop: object) => ('content' in prop ? prop.content : null));
  return path.every((name) => typeof name === 'string' || typeof name === 'number') ? path : null;
}
