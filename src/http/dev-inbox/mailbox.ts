/** Finds and parses captured mail. What the list shows of a mail is parsed once and cached while the mail exists. */
import { parseMailbox } from '../../domain/address.ts';
import { suppressedForm } from '../../domain/suppression.ts';
import type { CapturedEntry, Inbox } from '../../store/inbox.ts';
import { ProblemError } from '../problems.ts';
import { type MailSummary, type ParsedMail, parseMail, summaryOf } from './mail.ts';

type Deps = { inbox: Pick<Inbox, 'list' | 'get'> };

/** `to` is a recipient of the envelope, bcc included; `email_id` is the id that POST /v1/emails answered. */
type Filter = { readonly to?: string | undefined; readonly email_id?: string | undefined };

export function openMailbox({ inbox }: Deps) {
  const summaries = new Map<string, MailSummary>();

  async function summaryFor(id: string): Promise<MailSummary | null> {
    const known = summaries.get(id);
    if (known !== undefined) return known;
    const mail = await inbox.get(id);
    if (mail === null) return null;
    const summary = summaryOf((await parseMail(mail)).view);
    summaries.set(id, summary);
    return summary;
  }

  return {
    /** Newest first. */
    async list(filter: Filter): Promise<MailSummary[]> {
      const entries = await inbox.list();
      const present = new Set(entries.map(({ id }) => id));
      for (const id of summaries.keys()) if (!present.has(id)) summaries.delete(id);
      const found: MailSummary[] = [];
      // One after the other, so that only one message is in memory.
      for (const entry of entries.filter((candidate) => isMatch(candidate, filter))) {
        const summary = await summaryFor(entry.id);
        if (summary !== null) found.push(summary);
      }
      return found;
    },

    /** @throws ProblemError 404 */
    async open(id: string): Promise<ParsedMail> {
      return parseMail((await inbox.get(id)) ?? missing(id));
    },

    /** @throws ProblemError 404 */
    async raw(id: string): Promise<Buffer> {
      return ((await inbox.get(id)) ?? missing(id)).raw;
    },
  };
}

function isMatch({ envelope, emailId }: CapturedEntry, { to, email_id }: Filter): boolean {
  if (email_id !== undefined && email_id !== emailId) return false;
  return to === undefined || envelope.to.some((address) => normalise(address) === normalise(to));
}

/** Domains become A-labels, as in the envelope. Upper and lower case are the same. */
function normalise(text: string): string {
  const mailbox = parseMailbox(text);
  return suppressedForm('fault' in mailbox ? text : mailbox.address);
}

function missing(id: string): never {
  throw new ProblemError('not_found', `There is no mail ${id} in the dev inbox, or no more`);
}
