/** Where what listens on this machine can be asked from it. */

/** All addresses of a machine are not one to ask. */
const askedFor: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** @param listening the address it listens on */
export function localUrl(listening: string, port: number): string {
  const host = askedFor[listening] ?? listening;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
