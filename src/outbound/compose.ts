/** Composes an email into one Buffer (RFC 5322, MIME). Each field is copied by name: a caller's object never reaches a library. */
import { type Content, type EmailFacts, type EmailState, type Files, mailboxesOf } from '../domain/email.ts';
import { writeMessage } from './message.ts';
import { dateHeader, headerLine, mailboxHeader, textHeader } from './mime-headers.ts';
import { partsOf } from './parts.ts';

/** @throws when the message cannot be composed at all, which validation should have prevented */
export async function compose(
  email: { facts: EmailFacts; state: EmailState },
  content: Content,
  files: Files,
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
  ];
  // Each attempt sends the same bytes. Nobody knows an id before its text is accepted, so no text can hold the boundary.
  return writeMessage(headers.join(''), partsOf(content, files), facts.id);
}

/** Validation refuses these; written by us as well, two of them would let each reader see another message. */
const ours =
  /^(?:from|sender|to|cc|bcc|reply-to|subject|message-id|date|mime-version|content-(?:type|transfer-encoding|disposition|id))$/i;
