/** Where the unsubscribe link goes in a letter, and which emails can have one: no recipient may see the bare variable name. */
import type { RequestLimits } from './email-request.ts';
import { lengthOf, type Rule } from './rule.ts';

/** Replaced when a letter is composed, since each recipient has a link of their own. */
export const linkPlace = '{{unsubscribe_url}}';
/**
 * The value of `unsubscribe_url` while a template is rendered; afterwards it becomes `linkPlace`. Digits only: filters that encode, escape or
 * change the case leave them unchanged. No letter contains them by chance.
 */
export const linkMark = '73920518462957301846295170384629';

const place = /\{\{\s{0,9}unsubscribe_url\s{0,9}\}\}/;
const everyPlace = new RegExp(place, 'g');
/** An invisible character, at which no line is broken. */
const wordJoiner = '\u2060';

/** Puts the place for the link where its mark is in a rendered text, and nowhere else: a value that looks like the place is broken up. */
export function withLinkPlace(text: string): string {
  const said = text.includes('{{') ? text.replace(everyPlace, (found) => `{${wordJoiner}${found.slice(1)}`) : text;
  return said.replaceAll(linkMark, linkPlace);
}

/** Turns a text from `withLinkPlace` into a variable for another template. */
export function withLinkMark(text: string): string {
  return text.replaceAll(linkPlace, linkMark);
}

/** The name in Liquid, where filters and conditions may surround it. */
const mention = /\bunsubscribe_url\b/;

export const noLink = `has ${linkPlace}, and can have no such link: it takes the lane bulk, one recipient, and PUBLIC_URL in production`;

export function withLink(text: string, url: string): string {
  return text.includes('{{') ? text.replace(everyPlace, () => url) : text;
}

type Asked = Readonly<Partial<Record<'lane' | 'to' | 'cc' | 'bcc' | 'subject' | 'html' | 'text', unknown>>>;

/** Whether the letter has a place for a link that it cannot get. Fields may be missing, or of a wrong type. */
export function lacksLink(
  { lane, to, cc, bcc, subject, html, text }: Asked,
  { canUnsubscribe }: Pick<RequestLimits, 'canUnsubscribe'>,
  hasPlace: (text: string) => boolean = (text) => place.test(text),
): boolean {
  const hasLink = canUnsubscribe && lane === 'bulk' && lengthOf(to) + lengthOf(cc) + lengthOf(bcc) <= 1;
  return !hasLink && [subject, html, text].some((part) => typeof part === 'string' && hasPlace(part));
}

/** A letter written out in a request that is not bulk mail may contain the text for its own reasons. */
export function linkRules(limits: Pick<RequestLimits, 'canUnsubscribe'>): Rule[] {
  return (['html', 'text'] as const).map((path) => {
    // With a base of megabytes, a thousand messages of a batch share the very same text, so the last result is kept.
    let last = { text: '', hasPlace: false };
    const hasPlace = (text: string) => {
      if (text !== last.text) last = { text, hasPlace: place.test(text) };
      return last.hasPlace;
    };
    return {
      path,
      message: noLink,
      holds: ({ lane, to, cc, bcc, [path]: part }) =>
        lane !== 'bulk' || !lacksLink({ lane, to, cc, bcc, [path]: part }, limits, hasPlace),
    };
  });
}

/** The same for the sources of many letters. */
export function sourceLacksLink(
  { subject, html, text, preheader }: Readonly<Record<'subject' | 'html' | 'text' | 'preheader', string | null>>,
  { canUnsubscribe }: Pick<RequestLimits, 'canUnsubscribe'>,
): boolean {
  return !canUnsubscribe && [subject, html, text, preheader].some((part) => part !== null && mention.test(part));
}
