/** How it is written down that an email ended: in 22 bytes, as a million of them are kept for days. */
import { idBytes, idFromBytes } from '../domain/id.ts';

/** `at`: milliseconds since the epoch; `version`: the one it ended with, by which an email that moved on since is known. */
export type End = { readonly id: string; readonly at: number; readonly version: number };

const idLength = 16;
/** What is left of a version: enough to tell an email's own versions apart. */
const versionMask = 0xffff;

/** The time is rounded up to seconds. */
export function packEnd({ id, at, version }: End): Buffer {
  const bytes = Buffer.allocUnsafe(idLength + 6);
  idBytes(id).copy(bytes);
  bytes.writeUInt32BE(Math.ceil(at / 1_000), idLength);
  bytes.writeUInt16BE(version & versionMask, idLength + 4);
  return bytes;
}

export function unpackEnd(bytes: Buffer): End {
  const at = bytes.readUInt32BE(idLength) * 1_000;
  return { id: idFromBytes('em', bytes.subarray(0, idLength)), at, version: bytes.readUInt16BE(idLength + 4) };
}

/** Whether an email of this version is still as it ended. */
export function isAsItEnded(end: End, version: number): boolean {
  return (version & versionMask) === end.version;
}
