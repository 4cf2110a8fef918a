/** The signature of a POST to an endpoint (Standard Webhooks). Pure: HMAC depends only on its input. */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { Webhook } from './webhook.ts';

/** How long both secrets sign after a rotation: enough time to bring the new one to every consumer. */
export const rotationMs = 24 * 3_600_000;

/** A secret of the form `whsec_<base64>`. @param entropy 24 to 64 bytes */
export function webhookSecret(entropy: Uint8Array): string {
  return `whsec_${Buffer.from(entropy).toString('base64')}`;
}

/** The webhook with a new secret. The old one still signs for a day. */
export function rotated<W extends Pick<Webhook, 'secret' | 'previousSecret'>>(
  webhook: W,
  secret: string,
  now: number,
): W {
  return { ...webhook, secret, previousSecret: { secret: webhook.secret, until: now + rotationMs } };
}

/** The secrets that sign now, the current one first. */
export function signingSecrets({ secret, previousSecret }: Pick<Webhook, 'secret' | 'previousSecret'>, now: number) {
  return previousSecret !== null && previousSecret.until > now ? [secret, previousSecret.secret] : [secret];
}

/** Keys of secrets that signed lately: to prepare a key takes five times as long as to sign with it. */
const prepared = new Map<string, KeyObject>();
const mostPrepared = 1_000;

function keyOf(secret: string): KeyObject {
  const known = prepared.get(secret);
  if (known !== undefined) return known;
  if (prepared.size >= mostPrepared) prepared.clear();
  const key = createSecretKey(secret.slice('whsec_'.length), 'base64');
  prepared.set(secret, key);
  return key;
}

/** The prefixes of the names of these headers. */
export const signatureFamilies = ['webhook', 'svix'] as const;

/**
 * The three headers of Standard Webhooks over `id.timestamp.body`, with a signature by each secret; and the same under the names of Svix, which
 * consumers of the Resend API read.
 * @param atSeconds seconds since the epoch, of this attempt
 */
export function signatureHeaders(
  id: string,
  atSeconds: number,
  body: string,
  secrets: readonly string[],
): Readonly<Record<string, string>> {
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', keyOf(secret)).update(`${id}.${atSeconds}.${body}`).digest('base64')}`,
  );
  const values = { id, timestamp: String(atSeconds), signature: signatures.join(' ') };
  return Object.fromEntries(
    signatureFamilies.flatMap((family) => Object.entries(values).map(([name, value]) => [`${family}-${name}`, value])),
  );
}
