/** weaveLetter: renders a parsed template for one recipient's variables, into a letter or all of its faults. */
import type { Template } from 'liquidjs';
import { subjectLine } from '../domain/email-request.ts';
import {
  type CompiledTemplate,
  fillIn,
  type TemplateContent,
  type TemplateFault,
  type TemplatePart,
  type Variables,
} from '../domain/template.ts';
import { linkMark, withLinkMark, withLinkPlace } from '../domain/unsubscribe-link.ts';
import { type Woven, whole, woven } from '../domain/woven.ts';
import { engineOf, MissingError } from './engine.ts';
import { LimitError, type Meter, maxLetterLength } from './limits.ts';
import { textOfHtml, tidy } from './plain-text.ts';
import { preheaderName, withoutPreheader } from './preheader.ts';
import { tell } from './tell.ts';

export type Parts = { readonly [part in TemplatePart]: Template[] | null };

/** How the text part is made. */
export type TextWay =
  | { readonly kind: 'source'; readonly templates: Template[] }
  /** From the source of the HTML. */
  | { readonly kind: 'derived'; readonly templates: Template[] }
  /** From the rendered HTML. */
  | { readonly kind: 'converted' }
  | { readonly kind: 'none' };

type ParsedTemplate = {
  readonly content: Pick<TemplateContent, 'missing' | 'variables' | 'defaults'>;
  readonly parts: Parts;
  readonly textWay: TextWay;
  /** Variables that come from the caller, and are not set by the template itself. */
  readonly keys: ReadonlySet<string>;
};

export function weaveLetter(
  template: ParsedTemplate,
  given: Variables,
  meter: Meter,
): ReturnType<CompiledTemplate['weave']> {
  const { content, parts, textWay } = template;
  const { variables, faults: ofTypes } = fillIn(content, given);
  const faults = new Map<string, TemplateFault>();
  const note = (fault: TemplateFault) => faults.set(`${fault.path.join('.')} ${fault.message}`, fault);
  /** Renders one part; null when the template has no such part, or rendering it failed and the fault was collected. */
  const attempt = <T>(part: TemplatePart, make: () => T | null): T | null => {
    try {
      return make();
    } catch (error) {
      for (const fault of faultsIn(error, part, template.keys)) note(fault);
      return null;
    }
  };
  const isStrict = content.missing === 'strict';
  const weave = (part: TemplatePart, templates: Template[], globals = {}): Woven =>
    clean(engineOf(part).weave(templates, { variables, isStrict, meter, globals }));
  const write = (part: TemplatePart, templates: Template[] | null, globals = {}): Woven | null =>
    attempt(part, () => (templates === null ? null : weave(part, templates, globals)));

  ofTypes.forEach(note);
  const subject = attempt('subject', () => subjectOf(whole(write('subject', parts.subject))));
  const preheader = lineOf(whole(write('preheader', parts.preheader)) ?? '');
  const html = write('html', parts.html, { [preheaderName]: withLinkMark(preheader) });
  const converted = () => attempt('text', () => html && woven(textOfHtml(withoutPreheader(html.join(''), preheader))));
  const text = textBy(textWay, html, { converted, write: (t) => write('text', t), weave: (t) => weave('text', t) });
  return faults.size === 0 ? { subject, html, text } : { faults: [...faults.values()] };
}

type TextMakers = {
  converted(): Woven | null;
  write(templates: Template[]): Woven | null;
  /** @throws what `write` would collect as a fault */
  weave(templates: Template[]): Woven;
};

/** A text that is not made of pieces, or is changed as a whole, becomes one piece. */
function textBy(way: TextWay, html: Woven | null, { converted, write, weave }: TextMakers): Woven | null {
  switch (way.kind) {
    case 'source':
      return write(way.templates);
    case 'derived':
      if (html === null) return null;
      try {
        return woven(tidy(whole(weave(way.templates)) ?? ''));
      } catch {
        // Quotes repeat lines and may pass the limit of a letter. Converted from the rendered HTML, they are cut.
        return converted();
      }
    case 'converted':
      return converted();
    case 'none':
      return null;
  }
}

/** @throws LimitError */
function clean(pieces: Woven): Woven {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (length > maxLetterLength) throw new LimitError(`has more than ${maxLetterLength} characters`);
  const named = pieces.some((piece) => piece.includes(linkMark) || piece.includes('{{'))
    ? pieces.map(withLinkPlace)
    : pieces;
  if (named.every((piece) => piece.isWellFormed() && !piece.includes('\0'))) return named;
  // Half of a character may be in one piece and half in the next.
  return woven(named.join('').replaceAll('\0', '').toWellFormed());
}

export function wholeLetter(letter: ReturnType<CompiledTemplate['weave']>): ReturnType<CompiledTemplate['render']> {
  if ('faults' in letter) return letter;
  return { subject: letter.subject, html: whole(letter.html), text: whole(letter.text) };
}

/** One line: characters that could end a header or begin another become spaces. */
function lineOf(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, ' ').trim();
}

/** @throws LimitError when it cannot be written in a header */
function subjectOf(text: string | null): string | null {
  if (text === null) return null;
  const read = subjectLine.safeParse(lineOf(text));
  if (!read.success) throw new LimitError(read.error.issues.map(({ message }) => message).join(', and '));
  return read.data;
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
