/** Which URLs may be asked for access tokens: the client secret and the refresh token are sent there. */
import { isLoopback } from './transport-fields.ts';

/** @returns what is wrong with the URL, as the rest of a sentence; null when it may be used */
export function tokenUrlFault(text: string): string | null {
  if (!URL.canParse(text)) return 'is not a URL';
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return 'must not carry credentials';
  if (protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, '')))) return null;
  return 'must be https, or http to a loopback host';
}
