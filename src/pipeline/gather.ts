/** gather: the bytes of every file an email carries; those given by URL are fetched once and kept, so that each attempt sends the same message. */
import { type Attachment, type AttachmentSource, addFile, type Content, type Files } from '../domain/email.ts';
import type { SettledOutcome } from '../domain/outcome.ts';
import type { AttachmentClient } from '../outbound/attachment-client.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'files' | 'keepFiles'>;
  client: Pick<AttachmentClient, 'fetch'>;
  /** Bytes of all files of one email. */
  maxBytes: number;
};

type FetchFault = Extract<SettledOutcome, { kind: 'fetch_fault' }>;

export type Gathered = { readonly kind: 'gathered'; readonly content: Content; readonly files: Files } | FetchFault;

export async function gather(deps: Deps, emailId: string, content: Content): Promise<Gathered> {
  if (content.attachments.length === 0) return { kind: 'gathered', content, files: new Map() };
  const isKept = ({ source }: Attachment) => source.kind === 'file';
  const kept = await deps.emails.files([...new Set(content.attachments.flatMap(({ source }) => hashOf(source)))]);
  if (content.attachments.every(isKept)) return { kind: 'gathered', content, files: kept };

  const fetched = new Map<string, Buffer>();
  const attachments: Attachment[] = [];
  let left = deps.maxBytes - content.attachments.reduce((sum, { source }) => sum + bytesOf(source), 0);
  // One after the other, as each may take all that is left.
  for (const attachment of content.attachments) {
    const source = await fetchInto(deps, attachment, left, fetched);
    if (source.kind === 'fetch_fault') return source;
    if (!isKept(attachment)) left -= bytesOf(source);
    attachments.push({ ...attachment, source });
  }
  const whole = { ...content, attachments };
  const added = new Map([...fetched].filter(([hash]) => !kept.has(hash)));
  await deps.emails.keepFiles(emailId, whole, added);
  return { kind: 'gathered', content: whole, files: new Map([...kept, ...fetched]) };
}

async function fetchInto(
  deps: Deps,
  { filename, source }: Attachment,
  maxBytes: number,
  files: Map<string, Buffer>,
): Promise<AttachmentSource | FetchFault> {
  if (source.kind === 'file') return source;
  const answer = await deps.client.fetch(source.url, maxBytes);
  if (answer.kind === 'fetched') return addFile(answer.content, files);
  return { kind: 'fetch_fault', detail: `attachment ${filename}: ${answer.detail}`, isFinal: answer.isFinal };
}

function hashOf(source: AttachmentSource): string[] {
  return source.kind === 'file' ? [source.hash] : [];
}

function bytesOf(source: AttachmentSource): number {
  return source.kind === 'file' ? source.bytes : 0;
}
