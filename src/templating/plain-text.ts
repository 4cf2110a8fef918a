/** Makes the text part from the HTML: once from its source when that is enough, else from the rendered HTML of each letter. */
import { compile } from 'html-to-text';

/** Characters of HTML that are read; the rest is not in the text. Mail programs show about as much. */
const maxHtmlLength = 100 * 1024;
/**
 * Limit of tags in it, which cost the most time: about 50 ms at worst, in one step and perhaps for each recipient. 100 KB of `<b>` have 35,000;
 * a letter of that length has 3,000.
 */
const maxTags = 8_000;
/** Characters of a text. Nested quotes multiply lines by a hundred, and rules multiply tags by ten. The rest is cut off. */
const maxTextLength = maxHtmlLength;

const convert = compile({
  wordwrap: false,
  limits: { maxInputLength: maxHtmlLength, maxDepth: 100 },
  formatters: {
    // The library's own formatter takes every text in a list for an item, even the beginning of a Liquid loop.
    item(element, walk, builder) {
      builder.openBlock({ leadingLineBreaks: 1 });
      builder.addInline('- ');
      walk(element.children, builder);
      builder.closeBlock({ trailingLineBreaks: 1 });
    },
    // The library's own formatter would build the whole content again at each depth.
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

/** The place of the first tag beyond the limit. */
function endOfTags(html: string): number {
  let at = -1;
  for (let tags = 0; tags <= maxTags; tags++) {
    at = html.indexOf('<', at + 1);
    if (at < 0) return html.length;
  }
  return at;
}

/** Removes empty lines where the HTML had none, and where a condition did not hold. */
export function tidy(text: string): string {
  const lines = text.split('\n').map((line) => line.trimEnd());
  const isKept = (line: string, index: number) => line !== '' || (index > 0 && lines[index - 1] !== '');
  return lines.filter(isKept).join('\n').trim();
}

/** The place of a tag or an output in a source. */
export type Place = { readonly begin: number; readonly end: number; readonly isTag: boolean };

/** Mark a place while the HTML is converted. Private-use characters, so that no letter contains them by chance. */
const [opening, closing] = ['\u{E000}', '\u{E001}'];

/**
 * The source of a text, made from the source of its HTML. Null when that is not enough: a tag is in a part that the text leaves out, a place
 * moved from before a tag to after it, as the address of a link does, or an entity becomes something that looks like a place.
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
  // A mark was cut in the middle.
  return source.includes(opening) ? null : source;
}

const marks = new RegExp(`${opening}\\d+${closing}`, 'g');
/** A link whose text is one place and whose address is another. */
const links = new RegExp(`(${marks.source}) \\[(${marks.source})\\]`, 'g');

function numberIn(mark: string): number {
  return Number(mark.slice(1, -1));
}

/** Whether all tags are still there, and each place comes after the same tags as before, so that each tag applies to the same places. */
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

/** Then it is written once. In the source the address comes before its text. */
function isOwnAddress(text: string, address: string, sourceOf: (mark: string) => string): boolean {
  return numberIn(address) < numberIn(text) && sourceOf(address) === sourceOf(text);
}

/** A line of nothing but tags disappears when it is rendered. */
function hasOnly(line: string, isTag: (mark: string) => boolean): boolean {
  return line.replace(marks, (mark) => (isTag(mark) ? '' : mark)).trim() === '' && line.trim() !== '';
}
