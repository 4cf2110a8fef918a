/** The URL at which a server on this machine can be called from this machine. */

/** The address that means all addresses cannot be called, so loopback replaces it. */
const askedFor: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** @param listening the address it listens on */
export function localUrl(listening: string, port: number): string {
  const host = askedFor[listening] ?? listening;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
