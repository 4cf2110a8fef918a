/** The login and the TLS of a transport, as `TRANSPORTS_FILE` gives them. */
import { fieldsOf, type Given, refuse, textOf } from './document.ts';
import type { FileRead } from './fill.ts';
import { certificatesFault, keyFault } from './pem.ts';
import { tokenUrlFault } from './token-url.ts';
import { type Field, fields, type TransportGiven } from './transport-fields.ts';
import type { Auth } from './transport-plan.ts';

const credential: Field<string> = {
  expected: 'a text that is not empty and has no control characters',
  parse: (text) => (/^\P{Cc}+$/u.test(text) ? text : null),
};

/** The client's secret is sent there: over TLS, or to this machine. */
const tokenUrl: Field<string> = {
  expected: 'an https:// URL without user and password',
  parse: (text) => (tokenUrlFault(text) === null ? text : null),
};

/** `{user, pass, method?}`, or `{oauth2: {…}}`. */
export function readAuth(given: Given): Auth | null {
  const known = fieldsOf(given, ['user', 'pass', 'method', 'oauth2']);
  if (known === null) return null;
  if (known.oauth2 !== undefined) {
    for (const other of [known.user, known.pass, known.method])
      if (other !== undefined) refuse(other, 'does not go together with oauth2');
    return readOauth2(known.oauth2);
  }
  const must = demand(given, known);
  return {
    kind: 'password',
    user: must('user', credential),
    pass: must('pass', credential),
    method: textOf(known.method, fields.method),
  };
}

function readOauth2(given: Given): Auth | null {
  const known = fieldsOf(given, ['user', 'client_id', 'client_secret', 'refresh_token', 'token_url']);
  if (known === null) return null;
  const must = demand(given, known);
  return {
    kind: 'oauth2',
    user: must('user', credential),
    clientId: must('client_id', credential),
    clientSecret: must('client_secret', credential),
    refreshToken: must('refresh_token', credential),
    tokenUrl: must('token_url', tokenUrl),
  };
}

/** Reads required fields. A missing or faulty one adds a fault and becomes empty. */
function demand<K extends string>(parent: Given, known: Partial<Record<K, Given>>) {
  return (key: K, field: Field<string>): string => {
    if (known[key] === undefined) refuse(parent, `has no ${key}`);
    return textOf(known[key], field) ?? '';
  };
}

type Tls = Pick<TransportGiven, 'tls' | 'verifyCertificate' | 'ca' | 'clientCertificate'>;

/** `require`, `opportunistic` or `none`; or a map with one of them set to true, and with certificates. */
export function readTls(given: Given | undefined, file: (path: string) => FileRead): Tls {
  const nothing: Tls = { tls: null, verifyCertificate: null, ca: null, clientCertificate: null };
  if (given === undefined) return nothing;
  if (typeof given.value === 'string') return { ...nothing, tls: textOf(given, fields.tls) };
  const known = fieldsOf(given, ['require', 'opportunistic', 'none', 'verify', 'ca_file', 'cert_file', 'key_file']);
  if (known === null) return nothing;
  const required = textOf(known.require, fields.flag);
  const modes = [
    ...(required ? (['require'] as const) : []),
    ...(textOf(known.opportunistic, fields.flag) ? (['opportunistic'] as const) : []),
    ...(textOf(known.none, fields.flag) ? (['none'] as const) : []),
  ];
  if (modes.length > 1) refuse(given, `expected one of require, opportunistic, none; it has ${modes.join(' and ')}`);
  const pem = (path: Given | undefined, faultOf: (text: string) => string | null) => readPem(path, file, faultOf);
  const { cert_file, key_file } = known;
  if ((cert_file === undefined) !== (key_file === undefined)) refuse(given, 'expected cert_file and key_file together');
  const cert = pem(cert_file, certificatesFault);
  const key = pem(key_file, (text) => keyFault(text, cert ?? ''));
  return {
    tls: modes[0] ?? (required === false ? 'opportunistic' : null),
    verifyCertificate: textOf(known.verify, fields.flag),
    ca: pem(known.ca_file, certificatesFault),
    clientCertificate: cert === null || key === null ? null : { cert, key },
  };
}

const path: Field<string> = { expected: 'the path of a file', parse: (text) => text || null };

function readPem(
  given: Given | undefined,
  file: (path: string) => FileRead,
  faultOf: (text: string) => string | null,
): string | null {
  const name = textOf(given, path);
  if (given === undefined || name === null) return null;
  const read = file(name);
  const fault = 'fault' in read ? read.fault : faultOf(read.text);
  if (fault !== null) return refuse(given, fault);
  return 'text' in read ? read.text : null;
}
