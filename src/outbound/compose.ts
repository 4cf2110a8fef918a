/** Composes an email into one Buffer (RFC 5322, MIME). Each field is copied by name: a caller's object never reaches the composer. */
import MailComposer from 'nodemailer/lib/mail-composer';
import type { Mailbox } from '../domain/address.ts';
import { type Content, type EmailFacts, type EmailState, mailboxesOf } from '../domain/email.ts';

/** @throws when the message cannot be composed at all, which validation should have prevented */
export async function compose(email: { facts: EmailFacts; state: EmailState }, content: Content): Promise<Buffer> {
  const { facts, state } = email;
  const composer = new MailComposer({
    disableFileAccess: true,
    disableUrlAccess: true,
    from: toComposer(facts.from),
    to: mailboxesOf(state, 'to').map(toComposer),
    cc: mailboxesOf(state, 'cc').map(toComposer),
    replyTo: facts.replyTo.map(toComposer),
    subject: facts.subject,
    messageId: `<${facts.messageId}>`,
    date: new Date(facts.createdAt),
    headers: Object.entries(content.headers).map(([key, value]) => ({ key, value })),
    ...(content.text === null ? {} : { text: content.text }),
    ...(content.html === null ? {} : { html: content.html }),
    attachments: content.attachments.map((attachment) => ({
      filename: attachment.filename,
      content: attachment.content,
      ...(attachment.contentType === null ? {} : { contentType: attachment.contentType }),
      ...(attachment.contentId === null ? {} : { cid: attachment.contentId, contentDisposition: 'inline' as const }),
    })),
  });
  return composer.compile().build();
}

function toComposer({ address, name = '' }: Mailbox): { address: string; name: string } {
  return { address, name };
}
