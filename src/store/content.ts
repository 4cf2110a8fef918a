/** Packs an email's content for Redis: JSON, compressed when that pays; the first byte says which. */
import { promisify } from 'node:util';
import { zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import type { Attachment, Content } from '../domain/email.ts';

/** Below this a compressed body saves nothing worth the time. */
const compressFromBytes = 1_024;
/** Above this the work is left to the thread pool, so that one large attachment does not hold up other requests. */
const offloadFromBytes = 64 * 1_024;

const plain = Buffer.of(0);
const compressed = Buffer.of(1);

export async function packContent(content: Content): Promise<Buffer> {
  const attachments = content.attachments.map((attachment) => ({
    ...attachment,
    content: attachment.content.toString('base64'),
  }));
  const json = Buffer.from(JSON.stringify({ ...content, attachments }));
  if (json.length < compressFromBytes) return Buffer.concat([plain, json]);
  const packed = json.length < offloadFromBytes ? zstdCompressSync(json) : await promisify(zstdCompress)(json);
  return Buffer.concat([compressed, packed]);
}

type PackedContent = Omit<Content, 'attachments'> & {
  attachments: (Omit<Attachment, 'content'> & { content: string })[];
};

export async function unpackContent(packed: Buffer): Promise<Content> {
  const body = packed.subarray(1);
  const json =
    packed[0] === 0
      ? body
      : body.length < offloadFromBytes
        ? zstdDecompressSync(body)
        : await promisify(zstdDecompress)(body);
  const content: PackedContent = JSON.parse(json.toString('utf8'));
  const attachments = content.attachments.map((attachment) => ({
    ...attachment,
    content: Buffer.from(attachment.content, 'base64'),
  }));
  return { ...content, attachments };
}
