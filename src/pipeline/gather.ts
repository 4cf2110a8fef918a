/** gather: the bytes of every file an email carries; those given by URL are fetched once and kept, so that each attempt sends the same message. */
import {
  type Attachment,
  type AttachmentSource,
  addFile,
  type Content,
  type Files,
  type StoredEmail,
} from '../domain/email.ts';
import type { Outcome, SettledOutcome } from '../domain/outcome.ts';
import type { AttachmentClient } from '../outbound/attachment-client.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'files' | 'keepFiles'>;
  client: Pick<AttachmentClient, 'fetch'>;
  /** Bytes of all files of one email. */
  maxBytes: number;
};

type FetchFault = Extract<SettledOutcome, { kind: 'fetch_fault' }>;

/** Nothing was tried, as others were being fetched for too long: looked at again at once. */
type Withheld = Extract<Outcome, { kind: 'withheld' }>;

export type Gathered =
  | { readonly kind: 'gathered'; readonly content: Content; readonly files: Files }
  | FetchFault
  | Withheld;

export async function gather(deps: Deps, { facts }: Pick<StoredEmail, 'facts'>, content: Content): Promise<Gathered> {
  if (content.attachments.length === 0) return { kind: 'gathered', content, files: new Map() };
  const isKept = ({ source }: Attachment) => source.kind === 'file';
  const kept = await deps.emails.files([...new Set(content.attachments.flatMap(({ source }) => hashOf(source)))]);
  if (content.attachments.every(isKept)) return { kind: 'gathered', content, files: kept };

  const fetched = new Map<string, Buffer>();
  const attachments: Attachment[] = [];
  let left = deps.maxBytes - content.attachments.reduce((sum, { source }) => sum + bytesOf(source), 0);
  // One after the other, as each may take all that is left.
  for (const attachment of content.attachments) {
    const { filename, source } = attachment;
    if (source.kind === 'file') {
      attachments.push(attachment);
      continue;
    }
    const answer = await deps.client.fetch(source.url, left, facts.lane);
    if (answer.kind === 'busy') return { kind: 'withheld' };
    if (answer.kind === 'fault')
      return { kind: 'fetch_fault', detail: `attachment ${filename}: ${answer.detail}`, isFinal: answer.isFinal };
    const file = addFile(answer.content, fetched);
    left -= bytesOf(file);
    attachments.push({ ...attachment, contentType: typeFor(attachment, answer.contentType), source: file });
  }
  const whole = { ...content, attachments };
  const added = new Map([...fetched].filter(([hash]) => !kept.has(hash)));
  await deps.emails.keepFiles(facts.id, whole, added);
  return { kind: 'gathered', content: whole, files: new Map([...kept, ...fetched]) };
}

/** What its server calls a file is worth knowing where neither its caller nor its name tells. */
function typeFor({ contentType, filename }: Attachment, served: string | null): string | null {
  if (contentType !== null || filename.includes('.')) return contentType;
  return served?.split(';')[0]?.trim() ?? null;
}

function hashOf(source: AttachmentSource): string[] {
  return source.kind === 'file' ? [source.hash] : [];
}

function bytesOf(source: AttachmentSource): number {
  return source.kind === 'file' ? source.bytes : 0;
}
