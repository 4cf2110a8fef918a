/** compileTemplate: turns Liquid sources into a function from variables to a letter. */
import type { Template } from 'liquidjs';
import {
  type CompiledTemplate,
  type TemplateContent,
  type TemplateFault,
  type TemplatePart,
  templateParts,
} from '../domain/template.ts';
import { engineOf, markup, plain } from './engine.ts';
import { type Parts, type TextWay, weaveLetter, wholeLetter } from './letter.ts';
import { openMeter } from './limits.ts';
import { textSourceOf } from './plain-text.ts';
import { withPreheader } from './preheader.ts';
import { tell } from './tell.ts';
import { usesOf } from './uses.ts';

/** What is wrong with the source of one part; null when nothing is. */
export function checkSource(part: TemplatePart, source: string): string | null {
  const parsed = parse(part, source);
  return 'fault' in parsed ? parsed.fault : null;
}

function parse(part: TemplatePart, source: string): { readonly templates: Template[] } | { readonly fault: string } {
  try {
    return { templates: engineOf(part).parse(readable(source)) };
  } catch (error) {
    return { fault: tell(error) };
  }
}

/** The start and end of text that Liquid leaves unchanged, and a variable as Resend's templates write it. */
const rawOrTriple = /\{%-?\s*(raw|endraw)\s*-?%\}|\{\{\{([ \w-]{1,100})\}\}\}/g;

/** Resend's templates write `{{{NAME}}}` for `{{ NAME }}`. The replacement has the same length, since faults are reported by column. */
function readable(source: string): string {
  let isRaw = false;
  return source.replace(rawOrTriple, (found: string, tag: string | undefined, name: string) => {
    if (tag !== undefined) isRaw = tag === 'raw';
    return tag !== undefined || isRaw ? found : `{{ ${name} }}`;
  });
}

/**
 * Parses all parts once.
 * @returns the faults of each part, if there are any
 * @param clock CPU time in milliseconds; it ends a render that takes too long
 */
export function compileTemplate(
  content: TemplateContent,
  clock: () => number,
): CompiledTemplate | { readonly faults: readonly TemplateFault[] } {
  const faults: TemplateFault[] = [];
  const parts: Record<TemplatePart, Template[] | null> = { subject: null, html: null, text: null, preheader: null };
  for (const part of templateParts) {
    const parsed = content[part] === null ? null : parse(part, content[part]);
    if (parsed !== null && 'fault' in parsed)
      faults.push({ path: [part], code: 'invalid_template', message: parsed.fault });
    else parts[part] = parsed?.templates ?? null;
  }
  if (faults.length > 0) return { faults };
  const uses = usesOf(parts);
  const template = {
    content,
    parts: { ...parts, html: htmlOf(content, parts) },
    textWay: textWayOf(content, parts),
    keys: new Set(uses.map(({ key }) => key)),
  };
  const weave: CompiledTemplate['weave'] = (variables) => weaveLetter(template, variables, openMeter(clock));
  return { content, uses, weave, render: (variables) => wholeLetter(weave(variables)) };
}

/** The HTML with the place for the preheader at its top. */
function htmlOf({ html, preheader }: TemplateContent, parts: Parts): Template[] | null {
  if (html === null || preheader === null) return parts.html;
  // In the first variant the place may be inside a Liquid tag, and then does not parse. The second variant has it before everything.
  const parsed = withPreheader(readable(html)).map((source) => parse('html', source));
  return parsed.find((one) => 'templates' in one)?.templates ?? parts.html;
}

function textWayOf({ html }: TemplateContent, { text }: Parts): TextWay {
  if (text !== null) return { kind: 'source', templates: text };
  if (html === null) return { kind: 'none' };
  try {
    const source = sourceOfText(readable(html));
    if (source !== null) return { kind: 'derived', templates: plain.parse(source) };
  } catch {
    // A condition that spans something left out of the text would be broken in it.
  }
  return { kind: 'converted' };
}

/** A variable written as markup is known only after rendering. */
const markupFilter = /\|\s*(?:raw|escape|escape_once|xml_escape|newline_to_br|strip_html)\b/;

function sourceOfText(html: string): string | null {
  return markupFilter.test(html) ? null : textSourceOf(html, markup.placesOf(html));
}
