/** `SMTP_URL`: one transport in a URL, read whole so that every fault in it is named. */
import { sandboxTransport } from './sandbox.ts';

export type TlsMode = 'require' | 'opportunistic' | 'none';

export type TransportSettings = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Implicit TLS from the first byte (smtps, RFC 8314); otherwise `tls` says what STARTTLS must do. */
  readonly implicitTls: boolean;
  readonly tls: TlsMode;
  readonly verifyCertificate: boolean;
  readonly auth: { readonly user: string; readonly pass: string } | null;
  /** Connections one worker process keeps open at most. */
  readonly connections: number;
  /** A connection is closed after this many messages. */
  readonly messagesPerConnection: number;
};

const parameters = ['tls', 'tls_verify', 'connections', 'messages_per_connection', 'name'];

/** @returns the settings, or every fault as a sentence without the URL's secrets */
export function parseSmtpUrl(text: string): TransportSettings | { faults: string[] } {
  if (!URL.canParse(text))
    return { faults: ['is not a URL: expected smtps://user:pass@host:465 or smtp://user:pass@host:587'] };
  const url = new URL(text);
  if (url.protocol !== 'smtp:' && url.protocol !== 'smtps:')
    return { faults: [`starts with ${url.protocol}//, expected smtp:// or smtps://`] };
  const faults: string[] = [];
  const query = url.searchParams;
  for (const key of query.keys()) {
    if (!parameters.includes(key)) faults.push(`has an unknown parameter ${key}: expected ${parameters.join(', ')}`);
    else if (query.getAll(key).length > 1) faults.push(`has ${key} more than once`);
  }
  const implicitTls = url.protocol === 'smtps:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === '') faults.push('has no host');
  if (!/^\/?$/.test(url.pathname)) faults.push('has a path, expected none');
  const tls = query.get('tls') ?? 'require';
  if (!isTlsMode(tls)) faults.push('has an unknown tls: expected require, opportunistic or none');
  if (implicitTls && query.has('tls') && tls !== 'require')
    faults.push(`asks for tls=${tls}, but smtps:// is TLS from the first byte`);
  const verify = query.get('tls_verify') ?? 'true';
  if (verify !== 'true' && verify !== 'false') faults.push('has an unknown tls_verify: expected true or false');
  const auth = readAuth(url, faults);
  if (auth !== null && !implicitTls && tls !== 'require' && !isLoopback(host)) {
    faults.push(`would send the password with tls=${tls}: only allowed to a loopback host`);
  }
  const connections = readCount(query, 'connections', 10, 1_000, faults);
  const messagesPerConnection = readCount(query, 'messages_per_connection', 1_000, 1_000_000, faults);
  const name = query.get('name') ?? 'default';
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(name))
    faults.push('has a bad name: expected lower-case letters, digits, _ and -');
  if (name === sandboxTransport) faults.push(`has the name ${name}, which is that of sandbox recipients`);
  if (faults.length > 0 || !isTlsMode(tls)) return { faults };
  const port = url.port === '' ? (implicitTls ? 465 : 587) : Number(url.port);
  return {
    name,
    host,
    port,
    implicitTls,
    tls,
    verifyCertificate: verify === 'true',
    auth,
    connections,
    messagesPerConnection,
  };
}

function isTlsMode(text: string): text is TlsMode {
  return text === 'require' || text === 'opportunistic' || text === 'none';
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function readAuth(url: URL, faults: string[]): TransportSettings['auth'] {
  if (url.username === '' && url.password === '') return null;
  if (url.username === '' || url.password === '') faults.push('has only one of user and password');
  try {
    return { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  } catch {
    faults.push('has a % in user or password that is not an escape: write it as %25');
    return null;
  }
}

function readCount(query: URLSearchParams, key: string, otherwise: number, max: number, faults: string[]): number {
  const text = query.get(key);
  if (text === null) return otherwise;
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > max)
    faults.push(`has a bad ${key}: expected a whole number from 1 to ${max}`);
  return count;
}
