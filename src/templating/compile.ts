/** compileTemplate: sources in Liquid become a function from variables to a letter. */
import type { Template } from 'liquidjs';
import { subjectLine } from '../domain/email-request.ts';
import {
  type CompiledTemplate,
  fillIn,
  type Letter,
  type TemplateContent,
  type TemplateFault,
  type TemplatePart,
  templateParts,
  type Variables,
} from '../domain/template.ts';
import { type Engine, MissingError, openEngine } from './engine.ts';
import { LimitError, type Meter, maxLetterLength, openMeter } from './limits.ts';
import { textOfHtml, textSourceOf, tidy } from './plain-text.ts';
import { preheaderName, withoutPreheader, withPreheader } from './preheader.ts';
import { tell } from './tell.ts';
import { usesOf } from './uses.ts';

const markup = openEngine({ isMarkup: true });
const plain = openEngine({ isMarkup: false });

function engineOf(part: TemplatePart): Engine {
  return part === 'html' ? markup : plain;
}

/** What is wrong with one part; null when nothing is. */
export function checkSource(part: TemplatePart, source: string): string | null {
  try {
    engineOf(part).parse(readable(source));
    return null;
  } catch (error) {
    return tell(error);
  }
}

/** Resend's own templates have `{{{NAME}}}` for what is `{{ NAME }}` here. The same length: a fault is told by its column. */
function readable(source: string): string {
  return source.replace(/\{\{\{([ \w-]{1,100})\}\}\}/g, '{{ $1 }}');
}

type Parts = { readonly [part in TemplatePart]: Template[] | null };

/** How the text comes about. */
type TextWay =
  | { readonly kind: 'source'; readonly templates: Template[] }
  /** Of the HTML's source. */
  | { readonly kind: 'derived'; readonly templates: Template[] }
  /** Of the HTML as it is rendered. */
  | { readonly kind: 'converted' }
  | { readonly kind: 'none' };

/**
 * Parses all parts once. @returns what is wrong with each, when anything is
 * @param clock CPU time in milliseconds, by which a render that takes too long is ended
 */
export function compileTemplate(
  content: TemplateContent,
  clock: () => number,
): CompiledTemplate | { readonly faults: readonly TemplateFault[] } {
  const faults = templateParts.flatMap((part): TemplateFault[] => {
    const message = content[part] === null ? null : checkSource(part, content[part]);
    return message === null ? [] : [{ path: [part], code: 'invalid_template', message }];
  });
  if (faults.length > 0) return { faults };
  const parsed = (part: TemplatePart) =>
    content[part] === null ? null : engineOf(part).parse(readable(content[part]));
  const parts = {
    subject: parsed('subject'),
    html: parsed('html'),
    text: parsed('text'),
    preheader: parsed('preheader'),
  };
  const uses = usesOf(parts);
  const html = content.html === null || content.preheader === null ? parts.html : markupWithPreheader(content.html);
  const way = textWay(content, parts);
  const keys = new Set(uses.map(({ key }) => key));
  return {
    content,
    uses,
    render: (given) => renderAll({ content, parts: { ...parts, html }, way, keys }, given, openMeter(clock)),
  };
}

function markupWithPreheader(html: string): Template[] {
  for (const source of withPreheader(readable(html))) {
    try {
      return markup.parse(source);
    } catch {
      // Its place was inside a tag.
    }
  }
  return markup.parse(readable(html));
}

function textWay({ html }: TemplateContent, { text }: Parts): TextWay {
  if (text !== null) return { kind: 'source', templates: text };
  if (html === null) return { kind: 'none' };
  const source = sourceOfText(readable(html));
  if (source === null) return { kind: 'converted' };
  try {
    return { kind: 'derived', templates: plain.parse(source) };
  } catch {
    return { kind: 'converted' };
  }
}

/** A variable that is put out as markup is not known before it is rendered. */
const rawFilter = /\|\s*(?:raw|escape|escape_once|xml_escape|newline_to_br|strip_html)\b/;

function sourceOfText(html: string): string | null {
  return rawFilter.test(html) ? null : textSourceOf(html, markup.placesOf(html));
}

type Compiled = {
  readonly content: TemplateContent;
  readonly parts: Parts;
  readonly way: TextWay;
  /** Variables that are looked for in what is given, and not made by the template itself. */
  readonly keys: ReadonlySet<string>;
};

function renderAll(
  { content, parts, way, keys }: Compiled,
  given: Variables,
  meter: Meter,
): ReturnType<CompiledTemplate['render']> {
  const { variables, faults: ofTypes } = fillIn(content, given);
  const faults = new Map<string, TemplateFault>();
  const note = (fault: TemplateFault) => faults.set(`${fault.path.join('.')} ${fault.message}`, fault);
  ofTypes.forEach(note);
  const part = (name: TemplatePart, templates: Template[] | null, globals = {}): string | null => {
    if (templates === null) return null;
    try {
      const text = engineOf(name).render(templates, {
        variables,
        isStrict: content.missing === 'strict',
        meter,
        globals,
      });
      if (text.length > maxLetterLength) throw new LimitError(`has more than ${maxLetterLength} characters`);
      return text.replaceAll('\0', '').toWellFormed();
    } catch (error) {
      for (const fault of faultsIn(error, name, keys)) note(fault);
      return null;
    }
  };
  const subject = lineOf(part('subject', parts.subject));
  const preheader = lineOf(part('preheader', parts.preheader)) ?? '';
  const html = part('html', parts.html, { [preheaderName]: preheader });
  const text = textBy(way, html && withoutPreheader(html, preheader), (templates) => part('text', templates));
  const ofLine = subject === null ? undefined : subjectLine.safeParse(subject).error?.issues[0];
  if (ofLine !== undefined) note({ path: [], code: 'invalid_subject', message: `its subject ${ofLine.message}` });
  return faults.size === 0 ? { subject, html, text } : { faults: [...faults.values()] };
}

function textBy(way: TextWay, html: string | null, render: (templates: Template[]) => string | null): Letter['text'] {
  switch (way.kind) {
    case 'source':
      return render(way.templates);
    case 'derived':
      return tidyOrNull(render(way.templates));
    case 'converted':
      return html === null ? null : textOfHtml(html);
    case 'none':
      return null;
  }
}

function tidyOrNull(text: string | null): string | null {
  return text === null ? null : tidy(text);
}

/** One line: what could end a header, or begin another, is a space. */
function lineOf(text: string | null): string | null {
  return text === null ? null : text.replace(/[\p{Cc}\s]+/gu, ' ').trim();
}

function faultsIn(error: unknown, part: TemplatePart, keys: ReadonlySet<string>): TemplateFault[] {
  if (!(error instanceof MissingError))
    return [{ path: [], code: 'not_rendered', message: `its ${part} ${tell(error)}` }];
  const code = 'missing_variable';
  return error.paths.map((path): TemplateFault => {
    if (keys.has(path[0] ?? '')) return { path: ['variables', ...path], code, message: 'is missing' };
    return { path: ['variables'], code, message: `must give ${path.join('.')}, which the ${part} asks for` };
  });
}
