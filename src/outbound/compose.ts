/** Composes an email into one Buffer (RFC 5322, MIME). Each field is copied by name: a caller's object never reaches a library. */
import { domainOf } from '../domain/address.ts';
import { type Content, type EmailFacts, type EmailState, type Files, mailboxesOf } from '../domain/email.ts';
import { writeMessage } from './message.ts';
import { makeKnownLines } from './mime-body.ts';
import { dateHeader, headerLine, mailboxHeader, textHeader } from './mime-headers.ts';
import { type KnownTexts, partsOf } from './parts.ts';

/**
 * @param unsubscribeUrl where its reader unsubscribes (RFC 8058); stands wherever the letter says `{{unsubscribe_url}}`
 * @param known of the lines of its texts, where many letters have them in common
 * @throws when the message cannot be composed at all, which validation should have prevented
 */
export async function compose(
  email: { facts: EmailFacts; state: EmailState },
  content: Content,
  files: Files,
  unsubscribeUrl: string | null = null,
  known?: KnownTexts,
): Promise<Buffer> {
  const { facts, state } = email;
  const headers = [
    ...Object.entries(content.headers).map(([name, value]) => (ours.test(name) ? '' : textHeader(name, value))),
    mailboxHeader('From', [facts.from]),
    mailboxHeader('To', mailboxesOf(state, 'to')),
    mailboxHeader('Cc', mailboxesOf(state, 'cc')),
    mailboxHeader('Reply-To', facts.replyTo),
    textHeader('Subject', facts.subject),
    headerLine('Message-ID', `<${facts.messageId}>`),
    dateHeader(facts.createdAt),
    ...(unsubscribeUrl === null ? [] : listHeaders(facts, content.headers, unsubscribeUrl)),
  ];
  const letter = unsubscribeUrl === null ? content : withLink(content, unsubscribeUrl);
  // Each attempt sends the same bytes. Nobody knows an id before its text is accepted, so no text can hold the boundary.
  return writeMessage(headers.join(''), partsOf(letter, files, known), facts.id);
}

/** The same for many emails: their letters have most of their lines in common, as they are made of few templates, and what was worked out of a line is kept. */
export function makeComposer(): typeof compose {
  const known = { plain: makeKnownLines(), html: makeKnownLines() };
  return (email, content, files, unsubscribeUrl) => compose(email, content, files, unsubscribeUrl, known);
}

/** RFC 2369, RFC 8058 section 3.1; what the caller gave stands. */
function listHeaders({ from, campaignId }: EmailFacts, given: Content['headers'], url: string): string[] {
  const names = new Set(Object.keys(given).map((name) => name.toLowerCase()));
  const list = names.has('list-unsubscribe')
    ? []
    : [headerLine('List-Unsubscribe', `<${url}>`), headerLine('List-Unsubscribe-Post', 'List-Unsubscribe=One-Click')];
  // By which large receivers tell complaints about one campaign from those about another; the last part says who sends.
  const feedbackId = [...(campaignId === null ? [] : [campaignId]), 'bulk', domainOf(from.address)].join(':');
  return [
    ...list,
    names.has('precedence') ? '' : headerLine('Precedence', 'bulk'),
    names.has('feedback-id') ? '' : headerLine('Feedback-ID', feedbackId),
  ];
}

const link = /\{\{\s{0,9}unsubscribe_url\s{0,9}\}\}/g;

/** A URL of ours needs no escaping, neither in HTML nor in text. */
function withLink({ html, text, ...content }: Content, url: string): Content {
  const filled = (part: string | null) => part?.replace(link, () => url) ?? null;
  return { ...content, html: filled(html), text: filled(text) };
}

/** Validation refuses these; written by us as well, two of them would let each reader see another message. */
const ours =
  /^(?:from|sender|to|cc|bcc|reply-to|subject|message-id|date|mime-version|content-(?:type|transfer-encoding|disposition|id))$/i;
