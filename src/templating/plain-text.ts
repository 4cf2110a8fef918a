/** A text part made of the HTML: of the source, once, where that says all; else of what it was rendered to. */
import { compile } from 'html-to-text';

/** Characters of HTML that are looked at: what follows is not in the text. Mail programs show as much. */
const maxHtmlLength = 100 * 1024;
/**
 * Tags of it, which are what takes time: some 50 ms at worst, in one step and perhaps for each reader. 100 KB of `<b>` have 35,000, a letter
 * of that length 3,000.
 */
const maxTags = 8_000;
/** Characters of a text: quotes in quotes make a hundred times as many of lines, and rules ten times as many of tags. The rest is left out. */
const maxTextLength = maxHtmlLength;

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
    // The library's own would make all of it at each depth anew.
    quote(element, walk, builder) {
      builder.openBlock({ leadingLineBreaks: 2, reservedLineLength: 2 });
      walk(element.children, builder);
      builder.closeBlock({ trailingLineBreaks: 2, blockTransform: quoted });
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
    { selector: 'blockquote', format: 'quote' },
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    ...['td', 'th'].map((selector) => ({ selector, format: 'cell' })),
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
  ],
});

export function textOfHtml(html: string): string {
  return tidy(cut(convert(html.slice(0, Math.min(maxHtmlLength, endOfTags(html))))));
}

function quoted(text: string): string {
  const lines = text.replace(/^\n+/, '').trimEnd().split('\n');
  return cut(lines.map((line) => `> ${line}`).join('\n'));
}

function cut(text: string): string {
  return text.slice(0, maxTextLength).toWellFormed();
}

/** Where the first tag begins that is not looked at any more. */
function endOfTags(html: string): number {
  let at = -1;
  for (let tags = 0; tags <= maxTags; tags++) {
    at = html.indexOf('<', at + 1);
    if (at < 0) return html.length;
  }
  return at;
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
 * The source of a text, made of the source of its HTML. Null where that is not enough: a tag stands in what a text leaves out, or what stood
 * before a tag comes after it, as the address of a link does, or something that looks like one comes of an entity.
 */
export function textSourceOf(html: string, places: readonly Place[]): string | null {
  if (html.includes(opening) || html.includes(closing) || html.length > maxHtmlLength) return null;
  let marked = '';
  let at = 0;
  for (const [index, { begin, end }] of places.entries()) {
    marked += `${html.slice(at, begin)}${opening}${index}${closing}`;
    at = end;
  }
  const converted = cut(convert(marked + html.slice(at)));
  if (/\{[{%]/.test(converted) || !isInOrder(converted, places)) return null;
  const sourceOf = (mark: string) => html.slice(places[numberIn(mark)]?.begin, places[numberIn(mark)]?.end);
  const isTag = (mark: string) => places[numberIn(mark)]?.isTag === true;
  const lines = converted.split('\n').map((line) => (hasOnly(line, isTag) ? line : `${line}\n`));
  const source = lines
    .join('')
    .replace(links, (link, text: string, address: string) => (isOwnAddress(text, address, sourceOf) ? text : link))
    .replace(marks, sourceOf);
  // Something was cut in the middle of a mark.
  return source.includes(opening) ? null : source;
}

const marks = new RegExp(`${opening}\\d+${closing}`, 'g');
/** A link whose text is one place, and its address another. */
const links = new RegExp(`(${marks.source}) \\[(${marks.source})\\]`, 'g');

function numberIn(mark: string): number {
  return Number(mark.slice(1, -1));
}

/** All tags are there, and each place behind the same of them as before: what a tag changes is seen by the same places. */
function isInOrder(converted: string, places: readonly Place[]): boolean {
  const tagsBefore: number[] = [];
  let tags = 0;
  for (const { isTag } of places) tagsBefore.push(isTag ? tags++ : tags);
  let seen = 0;
  for (const [mark] of converted.matchAll(marks)) {
    if (tagsBefore[numberIn(mark)] !== seen) return false;
    if (places[numberIn(mark)]?.isTag) seen++;
  }
  return seen === tags;
}

/** Then it is told once; in the source an address stands before its text. */
function isOwnAddress(text: string, address: string, sourceOf: (mark: string) => string): boolean {
  return numberIn(address) < numberIn(text) && sourceOf(address) === sourceOf(text);
}

/** A line of nothing but tags is none when it is rendered. */
function hasOnly(line: string, isTag: (mark: string) => boolean): boolean {
  return line.replace(marks, (mark) => (isTag(mark) ? '' : mark)).trim() === '' && line.trim() !== '';
}
