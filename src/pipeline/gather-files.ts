/** gather-files: collects the files of an email, or tells which of them is still to be fetched. */
import { type MissingFile, missingFileOf } from '../domain/attachment.ts';
import type { AttachmentSource, Content, Files } from '../domain/email.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'files'>;
  /** Bytes of all files of one email. */
  maxBytes: number;
};

export type Gathered = { readonly kind: 'gathered'; readonly files: Files } | MissingFile;

export async function gatherFiles({ emails, maxBytes }: Deps, content: Content): Promise<Gathered> {
  if (content.attachments.length === 0) return { kind: 'gathered', files: new Map() };
  const missing = missingFileOf(content, maxBytes);
  if (missing !== null) return missing;
  const hashes = content.attachments.flatMap(({ source }) => hashOf(source));
  return { kind: 'gathered', files: await emails.files([...new Set(hashes)]) };
}

function hashOf(source: AttachmentSource): string[] {
  return source.kind === 'file' ? [source.hash] : [];
}
