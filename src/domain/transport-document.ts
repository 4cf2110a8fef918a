/** One transport of `TRANSPORTS_FILE`: by `url` or by `host`, with its login, its TLS and its limits. */
import { fieldsOf, type Given, refuse, textOf } from './document.ts';
import type { FileRead } from './fill.ts';
import { readSmtpUrl } from './smtp-url.ts';
import { fields, settleTransport, type TransportGiven } from './transport-fields.ts';
import type { TransportSettings } from './transport-plan.ts';
import { readAuth, readTls } from './transport-security.ts';

const ofServer = ['host', 'port', 'implicit_tls'] as const;
const ofEach = [
  'auth',
  'tls',
  'ehlo_name',
  'connections',
  'messages_per_connection',
  'max_age',
  'rate',
  'quota',
] as const;

type Known = Partial<Record<'url' | (typeof ofServer)[number] | (typeof ofEach)[number], Given>>;

/** Settings that a URL can have too, with their keys in the file. */
const saidTwice = {
  auth: 'auth',
  tls: 'tls',
  verifyCertificate: 'tls',
  ehloName: 'ehlo_name',
  connections: 'connections',
  messagesPerConnection: 'messages_per_connection',
  maxAgeMs: 'max_age',
  rate: 'rate',
  quota: 'quota',
} as const satisfies Record<Exclude<keyof TransportGiven, OfServer | OfFile>, keyof Known>;

type OfServer = 'host' | 'port' | 'implicitTls';
/** What no URL can say. */
type OfFile = 'ca' | 'clientCertificate';

/** @returns null when the transport has faults, which are collected in `given` */
export function readTransport(name: string, given: Given, file: (path: string) => FileRead): TransportSettings | null {
  const before = given.faults.length;
  const known = fieldsOf(given, ['url', ...ofServer, ...ofEach]);
  if (known === null) return null;
  const ours: TransportGiven = {
    host: textOf(known.host, fields.host) ?? '',
    port: textOf(known.port, fields.port),
    implicitTls: textOf(known.implicit_tls, fields.flag),
    auth: known.auth === undefined ? null : readAuth(known.auth),
    ...readTls(known.tls, file),
    ehloName: textOf(known.ehlo_name, fields.ehloName),
    connections: textOf(known.connections, fields.connections),
    messagesPerConnection: textOf(known.messages_per_connection, fields.messagesPerConnection),
    maxAgeMs: textOf(known.max_age, fields.maxAge),
    rate: textOf(known.rate, fields.rates),
    quota: textOf(known.quota, fields.rates),
  };
  if (known.url === undefined && known.host === undefined) refuse(given, 'has neither url nor host');
  const all = known.url === undefined ? ours : overUrl(known.url, known, ours);
  const settled = all === null ? { faults: [] } : settleTransport(name, all);
  if (!('faults' in settled)) return given.faults.length > before ? null : settled;
  for (const { field, message } of settled.faults) refuse(known[field] ?? known.url ?? given, message);
  return null;
}

/** A setting in both the URL and the map is a fault: which one counts would be a guess. */
function overUrl(url: Given, known: Known, ours: TransportGiven): TransportGiven | null {
  for (const key of ofServer) if (known[key] !== undefined) refuse(known[key], 'is said by the url');
  if (typeof url.value !== 'string') return refuse(url, 'expected a URL');
  const { given, name, faults } = readSmtpUrl(url.value);
  for (const fault of faults) refuse(url, fault);
  if (given === null) return null;
  if (name !== null) refuse(url, 'has a name: here it is the key');
  const settings = Object.entries(saidTwice) as [keyof typeof saidTwice, keyof Known][];
  for (const [field, key] of settings)
    if (given[field] !== null && ours[field] !== null) refuse(known[key] ?? url, 'is said by the url as well');
  const set = Object.fromEntries(Object.entries(ours).filter(([, value]) => value !== null));
  return { ...given, ...set, host: given.host, port: given.port, implicitTls: given.implicitTls };
}
