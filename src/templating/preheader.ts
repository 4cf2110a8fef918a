/** The preheader: text at the top of an HTML letter that mail programs show in their lists, but not in the letter. */
import { escapeHtml } from '../domain/escape-html.ts';

/** The variable under which the HTML finds the rendered preheader. */
export const preheaderName = 'postrider_preheader';

const hidden =
  'display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all';
/** Fills up the line, so that it does not also show the first words of the letter. */
const filling = '&#847;&zwnj;&nbsp;'.repeat(40);
const block = `{% if ${preheaderName} != '' %}${around(`{{ ${preheaderName} }}`)}{% endif %}`;

function around(text: string): string {
  return `<div style="${hidden}">${text}${filling}</div>`;
}

/** Characters of the tag that begins the body; a longer one is ignored. */
const maxBodyTagLength = 2_000;

/**
 * The source with the preheader's place after the start of the body, or after what comes before a body; and a second variant with the place
 * before everything, in case the first is inside a Liquid tag.
 */
export function withPreheader(html: string): string[] {
  const at = startOfBody(withoutComments(html));
  return [html.slice(0, at) + block + html.slice(at), block + html];
}

/** 0 where a condition of the template decides how the body begins. */
function startOfBody(html: string): number {
  // One search for its start and one for its end: a pattern for both took 0.5 s for 256 KB of `<body `.
  const begin = html.search(/<body[\s>]/i);
  if (begin >= 0 && isConditional(html.slice(0, begin))) return 0;
  const end = begin < 0 ? -1 : endOfTag(html, begin);
  if (end >= 0) return end + 1;
  const before = /<\/head>/i.exec(html) ?? /^\s{0,1000}<!doctype[^>]{0,1000}>/i.exec(html);
  return before === null ? 0 : before.index + before[0].length;
}

/** Whether a Liquid block that began before is still open behind it. */
function isConditional(before: string): boolean {
  const openings = before.match(/\{%-?\s*(?:if|unless|case|for|tablerow|capture)\b/g) ?? [];
  const ends = before.match(/\{%-?\s*end(?:if|unless|case|for|tablerow|capture)\b/g) ?? [];
  return openings.length > ends.length;
}

/** A `>` in a quoted attribute does not end the tag. -1 where it does not end soon. */
function endOfTag(html: string, begin: number): number {
  let quote = '';
  for (let at = begin; at < Math.min(html.length, begin + maxBodyTagLength); at++) {
    const char = html[at] as string;
    if (quote !== '') quote = char === quote ? '' : quote;
    else if (char === '>') return at;
    else if (char === '"' || char === "'") quote = char;
  }
  return -1;
}

/** Replaces comments by spaces, so that places stay the same: only Outlook reads `<!--[if mso]><body><![endif]-->`. */
function withoutComments(html: string): string {
  const kept: string[] = [];
  let from = 0;
  for (let begin = html.indexOf('<!--'); begin >= 0; begin = html.indexOf('<!--', from)) {
    const end = html.indexOf('-->', begin + 2);
    if (end < 0) break;
    kept.push(html.slice(from, begin), ' '.repeat(end + 3 - begin));
    from = end + 3;
  }
  return kept.join('') + html.slice(from);
}

/** A rendered letter as it would be without the preheader. */
export function withoutPreheader(html: string, preheader: string): string {
  return html.replace(around(escapeHtml(preheader)), '');
}
