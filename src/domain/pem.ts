/** Checks certificates and keys in PEM (RFC 7468) before a connection depends on them. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

const certificates = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** @returns what is wrong with it; null when it has at least one certificate and all can be read */
export function certificatesFault(pem: string): string | null {
  const blocks = pem.match(certificates);
  if (blocks === null) return 'holds no certificate in PEM form';
  const broken = blocks.findIndex((block) => certificateOf(block) === null);
  return broken < 0 ? null : `holds a certificate that cannot be read (number ${broken + 1})`;
}

/** @returns what is wrong with the key; null when it belongs to the first certificate */
export function keyFault(key: string, cert: string): string | null {
  const parsed = privateKeyOf(key);
  if (parsed === null) return 'holds no private key in PEM form that can be read without a passphrase';
  const [first] = cert.match(certificates) ?? [];
  return first !== undefined && certificateOf(first)?.checkPrivateKey(parsed) === false
    ? 'does not belong to the certificate'
    : null;
}

function certificateOf(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function privateKeyOf(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}
