/** gather-files: collects the files of an email. A file given by URL is fetched once and stored, so that each attempt sends the same message. */
import type { Fetched } from '../domain/attachment.ts';
import {
  type Attachment,
  type AttachmentSource,
  addFile,
  type Content,
  type Files,
  type StoredEmail,
} from '../domain/email.ts';
import type { Lane } from '../domain/lane.ts';
import type { SettledOutcome, Withheld } from '../domain/outcome.ts';
import type { AttachmentClient } from '../outbound/attachment-client.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'files' | 'keepFiles'>;
  client: Pick<AttachmentClient, 'fetch'>;
  /** Bytes of all files of one email. */
  maxBytes: number;
};

type FetchFault = Extract<SettledOutcome, { kind: 'fetch_fault' }>;

/** The email as it was loaded. */
type LoadedVersion = Pick<StoredEmail, 'facts' | 'version'>;

export type Gathered =
  | { readonly kind: 'gathered'; readonly content: Content; readonly files: Files }
  | FetchFault
  | Withheld;

export async function gatherFiles(deps: Deps, email: LoadedVersion, content: Content): Promise<Gathered> {
  if (content.attachments.length === 0) return { kind: 'gathered', content, files: new Map() };
  const isKept = ({ source }: Attachment) => source.kind === 'file';
  const kept = await deps.emails.files([...new Set(content.attachments.flatMap(({ source }) => hashOf(source)))]);
  if (content.attachments.every(isKept)) return { kind: 'gathered', content, files: kept };

  const { attachments, fetched, trouble } = await fetchAll(deps, email.facts.lane, content);
  const whole = { ...content, attachments };
  const added = new Map([...fetched].filter(([hash]) => !kept.has(hash)));
  // Also when one file failed: the next attempt fetches only what is missing.
  if (fetched.size > 0) await deps.emails.keepFiles(email, whole, added);
  return trouble ?? { kind: 'gathered', content: whole, files: new Map([...kept, ...fetched]) };
}

/** Fetches one file after the other, because each may use all bytes that are left. Fetches none after one that failed. */
async function fetchAll(deps: Deps, lane: Lane, content: Content) {
  const fetched = new Map<string, Buffer>();
  const attachments: Attachment[] = [];
  let trouble: FetchFault | Withheld | null = null;
  let left = deps.maxBytes - content.attachments.reduce((sum, { source }) => sum + bytesOf(source), 0);
  for (const attachment of content.attachments) {
    const { filename, source } = attachment;
    const answer: Fetched | null =
      source.kind === 'file' || trouble !== null ? null : await deps.client.fetch(source.url, left, lane);
    if (answer?.kind === 'fetched') {
      const file = addFile(answer.content, fetched);
      left -= bytesOf(file);
      attachments.push({ ...attachment, contentType: typeFor(attachment, answer.contentType), source: file });
      continue;
    }
    attachments.push(attachment);
    if (answer?.kind === 'busy') trouble = { kind: 'withheld' };
    if (answer?.kind === 'fault') trouble = faultOf(filename, answer);
  }
  return { attachments, fetched, trouble };
}

function faultOf(filename: string, fault: Extract<Fetched, { kind: 'fault' }>): FetchFault {
  const { detail, loggable, isFinal } = fault;
  const named = { detail: `attachment ${filename}: ${detail}`, loggable: `attachment: ${loggable}` };
  return { kind: 'fetch_fault', ...named, isFinal };
}

/** The type that its server reports counts only when neither the caller nor the file name gives one. */
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
