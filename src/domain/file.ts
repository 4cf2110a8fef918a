/** Attached files by their hash: equal ones are kept once, however many emails have them. */
import { hash } from 'node:crypto';
import type { AttachmentSource } from './email.ts';

/** Characters of a file's hash. */
export const fileHashLength = 43;

/** In a batch the same file may come with each of a thousand emails, so its hash is made only once. */
const hashes = new WeakMap<Buffer, string>();

export function fileHash(content: Buffer): string {
  const known = hashes.get(content) ?? hash('sha256', content, 'base64url');
  hashes.set(content, known);
  return known;
}

export function addFile(content: Buffer, files: Map<string, Buffer>): AttachmentSource {
  const hash = fileHash(content);
  files.set(hash, content);
  return { kind: 'file', hash, bytes: content.length };
}
