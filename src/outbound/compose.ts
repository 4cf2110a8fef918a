/** Composes an email into one Buffer (RFC 5322, MIME). Each field is copied by name: the object of a caller never reaches a library. */
import { domainOf, type Mailbox } from '../domain/address.ts';
import { type Content, type EmailFacts, type EmailState, type Files, mailboxesOf } from '../domain/email.ts';
import { withoutPoorWayOut } from '../domain/email-headers.ts';
import { withLink } from '../domain/unsubscribe-link.ts';
import type { AnyContent, Text } from '../domain/woven.ts';
import { makeKnownText } from './known-text.ts';
import { writeMessage } from './message.ts';
import { dateHeader, headerLine, mailboxHeader, textHeader } from './mime-headers.ts';
import { type KnownTexts, partsOf } from './parts.ts';

/** What is kept of letters composed before. */
type Known = KnownTexts & {
  /** Headers that many letters in a row make of the same objects. */
  readonly from: (from: Mailbox) => string;
  readonly replyTo: (mailboxes: readonly Mailbox[]) => string;
  readonly given: (headers: Content['headers']) => string;
};

/**
 * @param unsubscribeUrl where the reader unsubscribes (RFC 8058); it replaces each `{{unsubscribe_url}}` of the letter
 * @param known what was kept of earlier letters: lines they have in common are not encoded again
 * @throws when the message cannot be composed at all, which validation should have prevented
 */
export async function compose(
  email: { facts: EmailFacts; state: EmailState },
  content: AnyContent,
  files: Files,
  unsubscribeUrl: string | null = null,
  known?: Known,
): Promise<Buffer> {
  const { facts, state } = email;
  const { from, replyTo, given } = known ?? headersOf;
  const theirs = unsubscribeUrl === null ? content.headers : withoutPoorWayOut(content.headers);
  const headers = [
    given(theirs),
    from(facts.from),
    mailboxHeader('To', mailboxesOf(state, 'to')),
    mailboxHeader('Cc', mailboxesOf(state, 'cc')),
    replyTo(facts.replyTo),
    textHeader('Subject', unsubscribeUrl === null ? facts.subject : withLink(facts.subject, unsubscribeUrl)),
    headerLine('Message-ID', `<${facts.messageId}>`),
    dateHeader(facts.createdAt),
    ...(unsubscribeUrl === null ? [] : linkHeaders(theirs, unsubscribeUrl)),
    ...(facts.lane === 'bulk' ? bulkHeaders(facts, theirs) : []),
  ];
  const letter = unsubscribeUrl === null ? content : withUrl(content, unsubscribeUrl);
  // The boundary is made of the id, so each attempt sends the same bytes. The id is made after the text, so no text can hold it.
  return writeMessage(headers.join(''), partsOf(letter, files, known), facts.id);
}

/**
 * The same for many emails. Their letters are made of few templates and have most lines in common, so encoded lines are kept.
 */
export function makeComposer(): typeof compose {
  const known = {
    plain: makeKnownText(),
    html: makeKnownText(),
    from: forTheSame(headersOf.from),
    replyTo: forTheSame(headersOf.replyTo),
    given: forTheSame(headersOf.given),
  };
  return (email, content, files, unsubscribeUrl) => compose(email, content, files, unsubscribeUrl, known);
}

const headersOf = {
  from: (from: Mailbox) => mailboxHeader('From', [from]),
  replyTo: (mailboxes: readonly Mailbox[]) => mailboxHeader('Reply-To', mailboxes),
  given: (headers: Content['headers']) =>
    Object.entries(headers)
      .map(([name, value]) => (ours.test(name) ? '' : textHeader(name, value)))
      .join(''),
};

/** Keeps the last result for the same object: all emails of a campaign have these fields from its head. */
function forTheSame<Given extends object>(make: (given: Given) => string): (given: Given) => string {
  let last: { readonly given: Given; readonly made: string } | undefined;
  return (given) => {
    if (last?.given !== given) last = { given, made: make(given) };
    return last.made;
  };
}

/** RFC 2369, RFC 8058 section 3.1. Headers of the caller win, except a link without TLS. */
function linkHeaders(given: Content['headers'], url: string): string[] {
  const names = namesOf(given);
  // One-click is promised only for our own link: a caller with another link must add List-Unsubscribe-Post as well.
  if (names.has('list-unsubscribe')) return [];
  return [
    headerLine('List-Unsubscribe', `<${url}>`),
    names.has('list-unsubscribe-post') ? '' : headerLine('List-Unsubscribe-Post', 'List-Unsubscribe=One-Click'),
  ];
}

/** What all bulk mail says of itself, with or without a link. Headers of the caller win. */
function bulkHeaders({ from, campaignId }: EmailFacts, given: Content['headers']): string[] {
  const names = namesOf(given);
  // Large receivers group complaints by it, for instance by campaign; the last part names the sender.
  const feedbackId = [...(campaignId === null ? [] : [campaignId]), 'bulk', domainOf(from.address)].join(':');
  return [
    names.has('precedence') ? '' : headerLine('Precedence', 'bulk'),
    names.has('feedback-id') ? '' : headerLine('Feedback-ID', feedbackId),
  ];
}

function namesOf(headers: Content['headers']): Set<string> {
  return new Set(Object.keys(headers).map((name) => name.toLowerCase()));
}

/** A URL of ours needs no escaping, neither in HTML nor in text. */
function withUrl({ html, text, ...content }: AnyContent, url: string): AnyContent {
  return { ...content, html: filled(html, url), text: filled(text, url) };
}

function filled(text: Text | null, url: string): Text | null {
  if (text === null) return null;
  return typeof text === 'string' ? withLink(text, url) : text.map((piece) => withLink(piece, url));
}

/** Validation refuses these headers. Next to our own, a second one would make receivers show different messages. */
const ours =
  /^(?:from|sender|to|cc|bcc|reply-to|subject|message-id|date|mime-version|content-(?:type|transfer-encoding|disposition|id))$/i;
