/** Composes an email into one Buffer (RFC 5322, MIME). Each field is copied by name: a caller's object never reaches the composer. */
import MailComposer from 'nodemailer/lib/mail-composer';
import { encodeWord } from 'nodemailer/lib/mime-funcs';
import type { Mailbox } from '../domain/address.ts';
import { type Content, type EmailFacts, type EmailState, type Files, mailboxesOf } from '../domain/email.ts';
import { partsOf } from './parts.ts';

/** @throws when the message cannot be composed at all, which validation should have prevented */
export async function compose(
  email: { facts: EmailFacts; state: EmailState },
  content: Content,
  files: Files,
): Promise<Buffer> {
  const { facts, state } = email;
  const composer = new MailComposer({
    disableFileAccess: true,
    disableUrlAccess: true,
    // Each attempt sends the same bytes. Nobody knows an id before its text is accepted, so no text can hold the boundary.
    baseBoundary: facts.id,
    from: toComposer(facts.from),
    to: mailboxesOf(state, 'to').map(toComposer),
    cc: mailboxesOf(state, 'cc').map(toComposer),
    replyTo: facts.replyTo.map(toComposer),
    subject: literal(facts.subject),
    messageId: `<${facts.messageId}>`,
    date: new Date(facts.createdAt),
    headers: Object.entries(content.headers).map(([key, value]) => ({ key, value: literal(value) })),
    ...(content.text === null ? {} : { text: content.text }),
    ...(content.html === null ? {} : { html: content.html }),
    ...partsOf(content, files),
  });
  return composer.compile().build();
}

function toComposer({ address, name = '' }: Mailbox): { address: string; name: string } {
  return { address, name };
}

/**
 * Text that must come out as it stands. The composer sends what already is an encoded word as it is, for the receiver to decode,
 * and would fold spaces at the end to a line of their own.
 */
function literal(text: string): string {
  const trimmed = text.trim();
  return encodedWord.test(trimmed) ? encodeWord(trimmed, 'Q', maxEncodedWord) : trimmed;
}

/** RFC 2047, as lenient receivers read it: also across spaces. */
const encodedWord = /=\?[^?]*\?[bq]\?[^?]*\?=/i;
/** Octets of one encoded word; RFC 2047 section 2 allows 75. */
const maxEncodedWord = 52;
