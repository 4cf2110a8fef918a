/** Liquid as templates may use it: no files, no prototypes, only known tags and filters, all work counted. */
import { type Context, Liquid, Parser, type Template, Tokenizer, TokenKind } from 'liquidjs';
import { escapeHtml } from '../domain/escape-html.ts';
import type { TemplatePart } from '../domain/template.ts';
import type { Woven } from '../domain/woven.ts';
import { setFilters } from './filters.ts';
import {
  charge,
  LimitError,
  type Meter,
  maxLoopNesting,
  maxMade,
  maxNesting,
  maxPlaceLength,
  maxPlaces,
  run,
} from './limits.ts';
import type { Place } from './plain-text.ts';
import { PieceWriter, quicken, renderTemplates } from './render.ts';
import { type Path, Scope } from './scope.ts';
import { innerOf } from './uses.ts';
import { operators, textOf } from './values.ts';

/** Tags that read other templates, or hide tags inside a tag. */
const tagsLeftOut = ['include', 'render', 'layout', 'block', 'liquid', 'tablerow'];

type Engine = ReturnType<typeof openEngine>;

/** Times in a template are in UTC unless it names a zone, and in English, whatever the machine's settings are. */
const times = { timezoneOffset: 0, locale: 'en-US' };

/** @param isMarkup whether the output is HTML, so that values are escaped */
function openEngine({ isMarkup }: { isMarkup: boolean }) {
  const liquid = new Liquid({
    ...times,
    ...(isMarkup ? { outputEscape } : {}),
    operators,
    ownPropertyOnly: true,
    strictFilters: true,
    lenientIf: true,
    memoryLimit: maxMade,
    templates: {},
  });
  for (const name of tagsLeftOut) delete liquid.tags[name];
  setFilters(liquid, isMarkup);
  liquid.renderer.renderTemplates = renderTemplates;

  const put = isMarkup ? escaped : textOf;
  const tokensOf = (source: string) =>
    new Tokenizer(source, liquid.options.operators).readTopLevelTokens(liquid.options);

  return {
    /** The places of its tags and outputs. @throws as `parse` does */
    placesOf(source: string): Place[] {
      return tokensOf(source)
        .filter(({ kind }) => isPlace(kind))
        .map(({ kind, begin, end }) => ({ begin, end, isTag: kind === TokenKind.Tag }));
    },

    /** @throws an error that `tell` puts into words */
    parse(source: string): Template[] {
      const tokens = tokensOf(source);
      const places = tokens.filter(({ kind }) => isPlace(kind));
      if (places.length > maxPlaces) throw new LimitError(`has more than ${maxPlaces} tags and outputs`);
      if (places.some((token) => token.size() > maxPlaceLength))
        throw new LimitError(`has a tag or output of more than ${maxPlaceLength} characters`);
      const templates = new Parser(liquid).parseTokens(tokens);
      checkNesting(templates);
      forEach(templates, (template) => quicken(template, put));
      return templates;
    },

    /** @throws when a limit is reached, or Liquid finds a fault */
    weave(templates: Template[], { variables, isStrict, meter, globals = {} }: Rendering): Woven {
      const options = { sync: true, globals, strictVariables: isStrict };
      const scope = new Scope({ ...variables }, liquid, { options, meter });
      const writer = new PieceWriter(scope);
      run(renderTemplates(templates, scope, writer), meter);
      if (scope.missing.size > 0) throw new MissingError([...scope.missing.values()]);
      return writer.pieces;
    },
  };
}

function isPlace(kind: TokenKind): boolean {
  return kind === TokenKind.Tag || kind === TokenKind.Output;
}

type Rendering = {
  readonly variables: Readonly<Record<string, unknown>>;
  readonly isStrict: boolean;
  readonly meter: Meter;
  /** Used when the variables have nothing of that name. */
  readonly globals?: Readonly<Record<string, unknown>>;
};

/** The variables that a strict template lacks, each once. */
export class MissingError extends Error {
  readonly paths: readonly Path[];
  constructor(paths: readonly Path[]) {
    super('variables are missing');
    this.paths = paths;
  }
}

function outputEscape(this: { readonly context: Context }, value: unknown): string {
  return escaped(value, this.context);
}

function escaped(value: unknown, context: Context): string {
  const text = textOf(value, context);
  charge(context, text.length);
  return escapeHtml(text);
}

function forEach(templates: readonly Template[], visit: (template: Template) => void): void {
  for (const template of templates) {
    visit(template);
    forEach(innerOf(template), visit);
  }
}

function checkNesting(templates: readonly Template[], depth = 0, loops = 0): void {
  if (depth > maxNesting) throw new LimitError(`has tags more than ${maxNesting} deep in one another`);
  for (const template of templates) {
    const isLoop = 'name' in template && template.name === 'for';
    if (isLoop && loops === maxLoopNesting)
      throw new LimitError(`has loops more than ${maxLoopNesting} deep in one another`);
    checkNesting(innerOf(template), depth + 1, loops + Number(isLoop));
  }
}

export const markup = openEngine({ isMarkup: true });
export const plain = openEngine({ isMarkup: false });

export function engineOf(part: TemplatePart): Engine {
  return part === 'html' ? markup : plain;
}
