/** The settings of a transport, field by field, for a URL and for a file, and how they become `TransportSettings`. */
import { parseDuration } from './duration.ts';
import { parseRates, type Rate, windowName } from './rate.ts';
import { sandboxTransport } from './sandbox.ts';
import type { Auth, AuthMethod, TlsMode, TransportSettings } from './transport-plan.ts';

/** A field given as text. Faults contain `expected`, and never the value: it may be a secret. */
export type Field<T> = { readonly expected: string; parse(text: string): T | null };

const authMethods: Readonly<Record<string, AuthMethod>> = { plain: 'PLAIN', login: 'LOGIN', 'cram-md5': 'CRAM-MD5' };
const tlsModes: readonly TlsMode[] = ['require', 'opportunistic', 'none'];
const longestAgeMs = 86_400_000;

const rates: Field<readonly Rate[]> = {
  expected: 'rates such as 14/s or 14/s,5000/h with s, m, h or d, each window once',
  parse(text) {
    const parsed = parseRates(text);
    return 'faults' in parsed ? null : parsed;
  },
};

export const fields = {
  name: {
    expected: `up to 64 lower-case letters, digits, _ and -, the first a letter or digit; ${sandboxTransport} is taken`,
    parse: (text) => (/^[a-z0-9][a-z0-9_-]{0,63}$/.test(text) && text !== sandboxTransport ? text : null),
  } satisfies Field<string>,
  host: { expected: 'a host name or an IP address', parse: parseHost } satisfies Field<string>,
  port: wholeNumber(1, 65_535),
  flag: {
    expected: 'true or false',
    parse: (text) => (text === 'true' ? true : text === 'false' ? false : null),
  } satisfies Field<boolean>,
  tls: {
    expected: 'require, opportunistic or none',
    parse: (text) => tlsModes.find((mode) => mode === text) ?? null,
  } satisfies Field<TlsMode>,
  method: {
    expected: 'plain, login or cram-md5',
    parse: (text) => (Object.hasOwn(authMethods, text) ? (authMethods[text] ?? null) : null),
  } satisfies Field<AuthMethod>,
  ehloName: {
    expected: 'a host name such as mail.example.com, or an address in brackets',
    parse: parseEhloName,
  } satisfies Field<string>,
  connections: wholeNumber(1, 1_000),
  messagesPerConnection: wholeNumber(1, 1_000_000),
  maxAge: {
    expected: 'a duration such as 5m, from 1s to 24h',
    parse(text) {
      const ms = parseDuration(text);
      return ms !== null && ms >= 1_000 && ms <= longestAgeMs ? ms : null;
    },
  } satisfies Field<number>,
  rates,
};

export function wholeNumber(min: number, max: number): Field<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    parse(text) {
      const count = Number(text);
      return /^\d{1,15}$/.test(text) && count >= min && count <= max ? count : null;
    },
  };
}

/** @returns lower-case A-labels, or an IP address without brackets; null when it is neither */
function parseHost(text: string): string | null {
  const bare = text.replace(/^\[(.*)\]$/, '$1');
  // The URL parser knows both forms. Everything it would read as more than a host is refused before.
  if (bare === '' || /[\s/?#@%[\]\\^|<>`{}]/u.test(bare)) return null;
  const url = bare.includes(':') ? `http://[${bare}]/` : `http://${bare}/`;
  const host = URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
  return /^[a-z0-9_.:-]{1,253}$/.test(host) ? host : null;
}

/** @returns a host name in lower-case A-labels or an address literal (RFC 5321 section 4.1.3); null when it is neither */
function parseEhloName(text: string): string | null {
  const host = parseHost(text);
  if (host === null) return null;
  if (host.includes(':')) return `[IPv6:${host}]`;
  return /^[\d.]+$/.test(host) ? `[${host}]` : host;
}

/** Names that have a meaning only on one machine or in one network. */
const localName = /(?:^|\.)(?:localhost|local|localdomain|internal|intranet|lan|home|invalid|test)$/;

/** The host of a URL, when it is a public name; null otherwise. */
export function publicNameOf(url: string | null): string | null {
  const host = url === null ? null : parseHost(new URL(url).hostname);
  if (host === null || !host.includes('.') || /[:_]|\.$|\.\d+$/.test(host)) return null;
  return localName.test(host) ? null : host;
}

/** What a URL or a file sets of one transport; null where it sets nothing. */
export type TransportGiven = {
  /** Empty when the host could not be read. */
  readonly host: string;
  readonly port: number | null;
  readonly implicitTls: boolean | null;
  readonly tls: TlsMode | null;
  readonly verifyCertificate: boolean | null;
  readonly ca: string | null;
  readonly clientCertificate: TransportSettings['clientCertificate'];
  readonly auth: Auth | null;
  readonly ehloName: string | null;
  readonly connections: number | null;
  readonly messagesPerConnection: number | null;
  readonly maxAgeMs: number | null;
  readonly rate: readonly Rate[] | null;
  readonly quota: readonly Rate[] | null;
};

/** A combination that is not allowed. `field` is where it is reported. */
type GivenFault = { readonly field: 'tls' | 'quota'; readonly message: string };

/** Fills in the defaults and refuses combinations that are not allowed. */
export function settleTransport(
  name: string,
  given: TransportGiven,
): TransportSettings | { readonly faults: readonly GivenFault[] } {
  const { host, auth, ca, clientCertificate, rate, quota } = given;
  const implicitTls = given.implicitTls ?? given.port === 465;
  const tls = given.tls ?? 'require';
  const faults: GivenFault[] = [];
  if (implicitTls && tls !== 'require') {
    const message = `asks for tls=${tls}, but smtps:// (implicit_tls, port 465) is TLS from the first byte`;
    faults.push({ field: 'tls', message });
  }
  // Without a readable host this cannot be judged.
  if (auth !== null && !implicitTls && tls !== 'require' && host !== '' && !isLoopback(host)) {
    const message = `would send the password with tls=${tls}: only allowed to a loopback host`;
    faults.push({ field: 'tls', message });
  }
  for (const limit of rate ?? []) {
    if (!quota?.some(({ windowMs }) => windowMs === limit.windowMs)) continue;
    faults.push({ field: 'quota', message: `has rate and quota both say how many per ${windowName(limit)}` });
  }
  if (faults.length > 0) return { faults };
  return {
    name,
    host,
    port: given.port ?? (implicitTls ? 465 : 587),
    implicitTls,
    tls,
    verifyCertificate: given.verifyCertificate ?? true,
    ca,
    clientCertificate,
    auth,
    ehloName: given.ehloName,
    connections: given.connections ?? 10,
    messagesPerConnection: given.messagesPerConnection ?? 1_000,
    maxAgeMs: given.maxAgeMs ?? 300_000,
    rates: [...(rate ?? []), ...(quota ?? [])].sort((a, b) => a.windowMs - b.windowMs),
  };
}

/** @param host as `parseHost` returns it */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
