/** Secrets at rest: AES-256-GCM, as `iv.tag.ciphertext` in base64url. */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

/** @param key 32 bytes, or the key made of them: it takes longer to make than to seal; @param iv 12 bytes, never used twice with one key */
export function seal(plaintext: string, key: Uint8Array | KeyObject, iv: Uint8Array): string {
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const sealed = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  return [iv, cipher.getAuthTag(), sealed].map((part) => Buffer.from(part).toString('base64url')).join('.');
}

/** Throws when the key is not the one it was sealed with or the text was changed. */
export function unseal(sealed: string, key: Uint8Array | KeyObject): string {
  const [iv, tag, ciphertext] = sealed.split('.').map((part) => Buffer.from(part, 'base64url'));
  if (iv === undefined || tag === undefined || ciphertext === undefined) throw new Error('not a sealed secret');
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('utf8');
}
