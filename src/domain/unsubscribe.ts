/** Unsubscribe links: the recipient is encrypted in them, so they work for years without a store, and nobody can read or forge one. */
import { createCipheriv, createDecipheriv, createSecretKey, hash, hkdfSync, type KeyObject } from 'node:crypto';
import type { StoredEmail } from './email.ts';
import { idByteLength, idBytes, idFromBytes } from './id.ts';

/** Whom a link is for, and the email it came in. */
export type Subscription = { readonly emailId: string; readonly address: string };

/** Changes with the form of tokens, so that old tokens can still be recognised. */
const version = 1;
const ivLength = 12;
const tagLength = 16;

/** A campaign needs a million tokens, so the key is prepared once: to prepare it for each takes five times as long as to encrypt. */
type UnsubscribeKey = {
  readonly seal: KeyObject;
  /** The key from which IVs are made. */
  readonly iv: Uint8Array;
};

/**
 * Derives separate keys, so that a token cannot be anything else encrypted with `SECRET_KEY`.
 * @param secretKey 32 bytes
 */
export function unsubscribeKey(secretKey: Uint8Array): UnsubscribeKey {
  const derived = (use: string) => new Uint8Array(hkdfSync('sha256', secretKey, '', use, 32));
  return { seal: createSecretKey(derived('unsubscribe')), iv: derived('unsubscribe iv') };
}

/**
 * The same token for the same email and address, so that each attempt sends the same message. The IV is derived from the content: two different
 * contents have two IVs, which is all that GCM needs.
 */
export function unsubscribeToken({ emailId, address }: Subscription, key: UnsubscribeKey): string {
  const size = Buffer.byteLength(address);
  const keyed = Buffer.allocUnsafe(key.iv.length + idByteLength + size);
  keyed.set(key.iv);
  keyed.set(idBytes(emailId), key.iv.length);
  keyed.write(address, key.iv.length + idByteLength);
  // As a string, which takes a third of the memory that a Buffer of its own does.
  const iv = Buffer.from(hash('sha256', keyed, 'binary'), 'binary').subarray(0, ivLength);
  const cipher = createCipheriv('aes-256-gcm', key.seal, iv, { authTagLength: tagLength });
  const sealed = cipher.update(keyed.subarray(key.iv.length));
  cipher.final();
  return Buffer.concat([Buffer.of(version), iv, cipher.getAuthTag(), sealed]).toString('base64url');
}

/** Null when it is not one of our tokens, or was changed. */
export function readUnsubscribeToken(token: string, key: UnsubscribeKey): Subscription | null {
  const bytes = Buffer.from(token, 'base64url');
  const sealedAt = 1 + ivLength + tagLength;
  if (bytes[0] !== version || bytes.length <= sealedAt + idByteLength) return null;
  // Decoding ignores some characters, so several texts would be the same token.
  if (bytes.toString('base64url') !== token) return null;
  const decipher = createDecipheriv('aes-256-gcm', key.seal, bytes.subarray(1, 1 + ivLength), {
    authTagLength: tagLength,
  });
  decipher.setAuthTag(bytes.subarray(1 + ivLength, sealedAt));
  try {
    const plain = Buffer.concat([decipher.update(bytes.subarray(sealedAt)), decipher.final()]);
    return {
      emailId: idFromBytes('em', plain.subarray(0, idByteLength)),
      address: plain.toString('utf8', idByteLength),
    };
  } catch {
    return null;
  }
}

/**
 * What links are made from. `publicUrl` is where the API is reached from outside, without a slash at its end; null when it is not configured.
 */
export type LinkMaker = { readonly publicUrl: string | null; readonly key: UnsubscribeKey };

/**
 * The URL at which the recipient of this email unsubscribes. Null when there is none: the email is not bulk mail, or it has several recipients,
 * each of whom would unsubscribe the others.
 */
export function unsubscribeUrlOf(
  { facts, state }: Pick<StoredEmail, 'facts' | 'state'>,
  maker: LinkMaker,
): string | null {
  const [recipient] = state.recipients;
  if (maker.publicUrl === null || facts.lane !== 'bulk' || recipient === undefined || state.recipients.length > 1)
    return null;
  return `${maker.publicUrl}/u/${unsubscribeToken({ emailId: facts.id, address: recipient.address }, maker.key)}`;
}
