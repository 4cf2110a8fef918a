/** A text part made of the HTML: of the source, once, where that says all; else of what it was rendered to. */
import { compile } from 'html-to-text';

/** Characters of HTML that are looked at, some 0.3 s at worst: what follows is not in the text. Mail programs show as much. */
const maxHtmlLength = 100 * 1024;

const convert = compile({
  wordwrap: false,
  limits: { maxInputLength: maxHtmlLength, maxDepth: 100 },
  formatters: {
    // The library's own lists take every text in them, a loop's beginning too, for an item.
    item(element, walk, builder) {
      builder.openBlock({ leadingLineBreaks: 1 });
      builder.addInline('- ');
      walk(element.children, builder);
      builder.closeBlock({ trailingLineBreaks: 1 });
    },
    cell(element, walk, builder) {
      walk(element.children, builder);
      builder.addInline(' ');
    },
  },
  selectors: [
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
    ...['ul', 'ol'].map((selector) => ({ selector, format: 'block' })),
    { selector: 'li', format: 'item' },
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    ...['td', 'th'].map((selector) => ({ selector, format: 'cell' })),
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
  ],
});

export function textOfHtml(html: string): string {
  return tidy(convert(html.slice(0, maxHtmlLength)));
}

/** Without the empty lines that are left where HTML had none, and where a condition did not hold. */
export function tidy(text: string): string {
  const lines = text.split('\n').map((line) => line.trimEnd());
  const isKept = (line: string, index: number) => line !== '' || (index > 0 && lines[index - 1] !== '');
  return lines.filter(isKept).join('\n').trim();
}

/** A tag or an output of a source: from where to where it stands. */
export type Place = { readonly begin: number; readonly end: number; readonly isTag: boolean };

/** Stand for a place while the HTML is read; private, so that no letter has them but by design. */
const [opening, closing] = ['\u{E000}', '\u{E001}'];

/**
 * The source of a text, made of the source of its HTML. Null where that is not enough: a tag stands in what a text leaves out, or something
 * that looks like one comes of an entity.
 */
export function textSourceOf(html: string, places: readonly Place[]): string | null {
  if (html.includes(opening) || html.includes(closing) || html.length > maxHtmlLength) return null;
  const written: string[] = [];
  let marked = '';
  let at = 0;
  for (const { begin, end } of places) {
    marked += html.slice(at, begin) + mark(written, html.slice(begin, end));
    at = end;
  }
  const converted = convert(marked + html.slice(at));
  if (/\{[{%]/.test(converted)) return null;
  const isTagMark = (mark: string) => (written[Number(mark.slice(1, -1))] ?? '').startsWith('{%');
  const lines = converted.split('\n').map((line) => (hasOnly(line, isTagMark) ? line : `${line}\n`));
  const text = lines.join('').replace(marks, (_, number: string) => written[Number(number)] ?? '');
  const tags = places.filter(({ isTag }) => isTag).map(({ begin, end }) => html.slice(begin, end));
  const kept = [...converted.matchAll(marks)].map(([, number]) => written[Number(number)] ?? '');
  return isSame(
    tags,
    kept.filter((place) => place.startsWith('{%')),
  )
    ? text
    : null;
}

/** A line of nothing but tags is none when it is rendered. */
function hasOnly(line: string, isTagMark: (mark: string) => boolean): boolean {
  return line.replace(marks, (mark) => (isTagMark(mark) ? '' : mark)).trim() === '' && line.trim() !== '';
}

const marks = new RegExp(`${opening}(\\d+)${closing}`, 'g');

/** The same for the same: a link whose text is its address is told once. */
function mark(written: string[], place: string): string {
  const known = written.indexOf(place);
  return `${opening}${known === -1 ? written.push(place) - 1 : known}${closing}`;
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((one, index) => one === others[index]);
}
