/** Where in a letter the link to unsubscribe with goes, and which emails can have one: no reader is shown the bare name of it. */
import type { RequestLimits } from './email-request.ts';
import { lengthOf, type Rule } from './rule.ts';

/** Filled in when a letter is composed, as each reader has a link of their own: until then it stands as it is. */
export const linkPlace = '{{unsubscribe_url}}';
/**
 * What `unsubscribe_url` is while a template is rendered, and `linkPlace` again in what was: of digits alone, as filters that encode, escape or
 * change the case leave these as they are. No letter has them by chance.
 */
export const linkMark = '73920518462957301846295170384629';

const place = /\{\{\s{0,9}unsubscribe_url\s{0,9}\}\}/;
const everyPlace = new RegExp(place, 'g');
/** Nobody sees it, and no line is broken at it. */
const wordJoiner = '\u2060';

/** A rendered text with the place for the link where its mark stands, and nowhere else: what a variable says that looks like one is kept from being it. */
export function withLinkPlace(text: string): string {
  const said = text.includes('{{') ? text.replace(everyPlace, (found) => `{${wordJoiner}${found.slice(1)}`) : text;
  return said.replaceAll(linkMark, linkPlace);
}

/** A text of `withLinkPlace` as a variable of another. */
export function withLinkMark(text: string): string {
  return text.replaceAll(linkPlace, linkMark);
}

/** In Liquid, where it may stand among filters and conditions. */
const mention = /\bunsubscribe_url\b/;

export const noLink = `has ${linkPlace}, and can have no such link: it takes the lane bulk, one recipient, and PUBLIC_URL in production`;

export function withLink(text: string, url: string): string {
  return text.includes('{{') ? text.replace(everyPlace, () => url) : text;
}

type Asked = Readonly<Partial<Record<'lane' | 'to' | 'cc' | 'bcc' | 'subject' | 'html' | 'text', unknown>>>;

/** Whether its letter has a place for a link that it cannot have. Fields may be missing, or not what they should be. */
export function lacksLink(
  { lane, to, cc, bcc, subject, html, text }: Asked,
  { canUnsubscribe }: Pick<RequestLimits, 'canUnsubscribe'>,
  hasPlace: (text: string) => boolean = (text) => place.test(text),
): boolean {
  const hasLink = canUnsubscribe && lane === 'bulk' && lengthOf(to) + lengthOf(cc) + lengthOf(bcc) <= 1;
  return !hasLink && [subject, html, text].some((part) => typeof part === 'string' && hasPlace(part));
}

/** What is written out in a request and is no bulk mail may say so for reasons of its own. */
export function linkRules(limits: Pick<RequestLimits, 'canUnsubscribe'>): Rule[] {
  return (['html', 'text'] as const).map((path) => {
    // Over a base of megabytes, a thousand messages of a batch have the very same text.
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

/** The same of what many letters are made of. */
export function sourceLacksLink(
  { subject, html, text, preheader }: Readonly<Record<'subject' | 'html' | 'text' | 'preheader', string | null>>,
  { canUnsubscribe }: Pick<RequestLimits, 'canUnsubscribe'>,
): boolean {
  return !canUnsubscribe && [subject, html, text, preheader].some((part) => part !== null && mention.test(part));
}
