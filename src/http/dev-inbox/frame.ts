/** Makes the HTML of a captured mail safe to show in a frame: nothing runs and nothing is fetched. */
import type { MailFile } from './mail.ts';

/**
 * `sandbox` gives the document an origin of its own without scripts or forms; links open a new tab. Images are allowed as data: URLs only, so a
 * tracking pixel is not loaded.
 */
export const framePolicy = [
  'sandbox allow-popups allow-popups-to-escape-sandbox',
  "default-src 'none'",
  'img-src data:',
  'font-src data:',
  "style-src 'unsafe-inline'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
].join('; ');

/** Bytes of images put into one page as base64. Without a limit, many references to one large file would become gigabytes. */
const maxInlinedBytes = 32 * 1024 * 1024;

/** @param files in which `cid:` references are looked up */
export function frameHtml(html: string, files: readonly MailFile[]): string {
  return openLinksInNewTab(inlineImages(html.replace(reachingOut, '<x-'), files));
}

/**
 * What the policy does not stop: `<link rel=preconnect>`, and the connection that Chromium opens for a nested page before it refuses to load it.
 * `<meta>` could redirect, and `<base>` would replace ours. An HTML parser recognises such an element by exactly these characters, so with two
 * more in the name it is an unknown element.
 */
const reachingOut = /<(?=(?:link|meta|base|i?frame|frameset|object|embed)[\s/>])/gi;

/** After the doctype: anything before it would switch the document to quirks mode. */
function openLinksInNewTab(html: string): string {
  const doctype = /^\s*<!doctype[^>]*>/i.exec(html)?.[0] ?? '';
  return `${doctype}<base target="_blank">${html.slice(doctype.length)}`;
}

function inlineImages(html: string, files: readonly MailFile[]): string {
  let left = maxInlinedBytes;
  return html.replace(/(["'(=]\s*)cid:([^"'()<>\s]+)/gi, (reference: string, before: string, cid: string) => {
    const file = files.find(({ contentId }) => contentId !== null && contentId === decode(cid));
    if (file === undefined || file.size > left || !/^image\/[\w.+-]+$/.test(file.content_type)) return reference;
    left -= file.size;
    return `${before}data:${file.content_type};base64,${file.content.toString('base64')}`;
  });
}

function decode(cid: string): string {
  try {
    return decodeURIComponent(cid);
  } catch {
    return cid;
  }
}
