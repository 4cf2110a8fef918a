/** gather-files: reads the files of an email, which are all there. */
import type { AttachmentSource, Content, Files } from '../domain/email.ts';
import type { Emails } from '../store/emails.ts';

type Deps = { emails: Pick<Emails, 'files'> };

export async function gatherFiles({ emails }: Deps, { attachments }: Content): Promise<Files> {
  if (attachments.length === 0) return new Map();
  const hashes = attachments.flatMap(({ source }) => hashOf(source));
  return emails.files([...new Set(hashes)]);
}

function hashOf(source: AttachmentSource): string[] {
  return source.kind === 'file' ? [source.hash] : [];
}
