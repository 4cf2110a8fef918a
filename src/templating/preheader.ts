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

function startOfBody(html: string): number {
  // One search for its start and one for its end: a pattern for both took 0.5 s for 256 KB of `<body `.
  const begin = html.search(/<body[\s>]/i);
  const tag = begin < 0 ? '' : html.slice(begin, begin + maxBodyTagLength);
  if (tag.includes('>')) return begin + tag.indexOf('>') + 1;
  const before = /<\/head>/i.exec(html) ?? /^\s{0,1000}<!doctype[^>]{0,1000}>/i.exec(html);
  return before === null ? 0 : before.index + before[0].length;
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
