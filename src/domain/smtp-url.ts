/** `SMTP_URL`: one transport in a URL. It is read whole, so that all of its faults are named. */
import { type Field, fields, settleTransport, type TransportGiven } from './transport-fields.ts';
import type { Auth, AuthMethod, TransportSettings } from './transport-plan.ts';

const parameters = [
  'tls',
  'tls_verify',
  'connections',
  'messages_per_connection',
  'max_age',
  'rate',
  'quota',
  'auth',
  'ehlo',
  'name',
];

/** @returns the settings, or every fault as a sentence without the URL's secrets */
export function parseSmtpUrl(text: string): TransportSettings | { faults: string[] } {
  const read = readSmtpUrl(text);
  if (read.given === null) return { faults: read.faults };
  const settled = settleTransport(read.name ?? 'default', read.given);
  const faults = [...read.faults, ...('faults' in settled ? settled.faults.map(({ message }) => message) : [])];
  return faults.length > 0 || 'faults' in settled ? { faults } : settled;
}

type SmtpUrl = { readonly given: TransportGiven | null; readonly name: string | null; readonly faults: string[] };

/** @returns what the URL says; `given` is null when it is too broken to say anything */
export function readSmtpUrl(text: string): SmtpUrl {
  const nothing = (fault: string): SmtpUrl => ({ given: null, name: null, faults: [fault] });
  if (!URL.canParse(text))
    return nothing('is not a URL: expected smtps://user:pass@host:465 or smtp://user:pass@host:587');
  const url = new URL(text);
  if (url.protocol !== 'smtp:' && url.protocol !== 'smtps:') return nothing('does not start with smtp:// or smtps://');
  const faults: string[] = [];
  const query = url.searchParams;
  for (const key of new Set(query.keys())) {
    if (!parameters.includes(key))
      faults.push(`has an unknown parameter${shown(key, url)}: expected ${parameters.join(', ')}`);
    else if (query.getAll(key).length > 1) faults.push(`has ${key} more than once`);
  }
  function read<T>(key: string, field: Field<T>): T | null {
    const given = query.get(key);
    const value = given === null ? null : field.parse(given);
    if (given !== null && value === null) faults.push(`has a bad ${key}: expected ${field.expected}`);
    return value;
  }
  const host = fields.host.parse(decoded(url.hostname) ?? '');
  if (url.hostname === '') faults.push('has no host');
  else if (host === null) faults.push(`has a bad host: expected ${fields.host.expected}`);
  if (!/^\/?$/.test(url.pathname)) faults.push('has a path, expected none');
  if (url.hash !== '') faults.push('has a # that is not an escape: write it as %23');
  const given = {
    host: host ?? '',
    port: url.port === '' ? null : Number(url.port),
    implicitTls: url.protocol === 'smtps:',
    tls: read('tls', fields.tls),
    verifyCertificate: read('tls_verify', fields.flag),
    ca: null,
    clientCertificate: null,
    auth: readAuth(url, read('auth', fields.method), faults),
    ehloName: read('ehlo', fields.ehloName),
    connections: read('connections', fields.connections),
    messagesPerConnection: read('messages_per_connection', fields.messagesPerConnection),
    maxAgeMs: read('max_age', fields.maxAge),
    rate: read('rate', fields.rates),
    quota: read('quota', fields.rates),
  };
  return { given, name: read('name', fields.name), faults };
}

/** With an at sign after it, the key may be the rest of a password that contains a question mark. */
function shown(key: string, { search }: URL): string {
  return /^[a-z_]{1,40}$/.test(key) && !search.includes('@') ? ` ${key}` : '';
}

function readAuth(url: URL, method: AuthMethod | null, faults: string[]): Auth | null {
  if (url.username === '' && url.password === '') {
    if (method !== null) faults.push('has auth, but no user and password');
    return null;
  }
  if (url.username === '' || url.password === '') faults.push('has only one of user and password');
  const user = decoded(url.username);
  const pass = decoded(url.password);
  if (/\p{Cc}/u.test(`${user}${pass}`)) faults.push('has a control character in user or password');
  if (user !== null && pass !== null) return { kind: 'password', user, pass, method };
  faults.push('has a % in user or password that is not an escape: write it as %25');
  return null;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
