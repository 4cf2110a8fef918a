/** The preheader: text at the top of an HTML letter that mail programs show in their lists, and the letter does not. */
import { escapeHtml } from '../domain/escape-html.ts';

/** Where its text, rendered already, is found by the HTML. */
export const preheaderName = 'postrider_preheader';

const hidden =
  'display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all';
/** Fills the line, so that the letter's first words do not stand in it as well. */
const filling = '&#847;&zwnj;&nbsp;'.repeat(40);
const block = `{% if ${preheaderName} != '' %}${around(`{{ ${preheaderName} }}`)}{% endif %}`;

function around(text: string): string {
  return `<div style="${hidden}">${text}${filling}</div>`;
}

/** Characters of the tag that begins the body; one that is longer is none. */
const maxBodyTagLength = 2_000;

/** The source with it: behind the start of the body, or what stands before one, and, should that be inside a tag of Liquid, before everything. */
export function withPreheader(html: string): string[] {
  const at = startOfBody(withoutComments(html));
  return [html.slice(0, at) + block + html.slice(at), block + html];
}

function startOfBody(html: string): number {
  // One look for where it begins and one for where it ends: a pattern of both took 0.5 s for 256 KB of `<body `.
  const begin = html.search(/<body[\s>]/i);
  const tag = begin < 0 ? '' : html.slice(begin, begin + maxBodyTagLength);
  if (tag.includes('>')) return begin + tag.indexOf('>') + 1;
  const before = /<\/head>/i.exec(html) ?? /^\s{0,1000}<!doctype[^>]{0,1000}>/i.exec(html);
  return before === null ? 0 : before.index + before[0].length;
}

/** As long as it is: Outlook alone reads what its comments say, `<!--[if mso]><body><![endif]-->`. */
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

/** A rendered letter as it is without. */
export function withoutPreheader(html: string, preheader: string): string {
  return html.replace(around(escapeHtml(preheader)), '');
}
