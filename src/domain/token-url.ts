/** Where access tokens may be asked for: client secret and refresh token are sent there. */
import { isLoopback } from './transport-fields.ts';

/** @returns what is wrong with it, as the rest of a sentence; null when it may be used */
export function tokenUrlFault(text: string): string | null {
  if (!URL.canParse(text)) return 'is not a URL';
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return 'must not carry credentials';
  if (protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, '')))) return null;
  return 'must be https, or http to a loopback host';
}
