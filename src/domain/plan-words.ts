/** Describes a plan in words, without its secrets, for the command line. */
import { formatDuration } from './duration.ts';
import { formatRates } from './rate.ts';
import {
  type Auth,
  hostOf,
  type Route,
  type Rule,
  type TransportPlan,
  type TransportSettings,
} from './transport-plan.ts';

export function describePlan({ transports, routes, rules }: TransportPlan): string {
  return [
    ...section('transports', Object.entries(transports), describeTransport),
    ...section('routes', Object.entries(routes), describeRoute),
    ...(rules.length === 0 ? [] : ['rules, the first that holds decides']),
    ...rules.map((rule) => `  ${describeRule(rule)}`),
  ].join('\n');
}

function section<T>(title: string, entries: readonly [string, T][], describe: (one: T) => string): string[] {
  const width = Math.max(...entries.map(([name]) => name.length));
  return [title, ...entries.map(([name, one]) => `  ${name.padEnd(width)}  ${describe(one)}`)];
}

function describeTransport(settings: TransportSettings): string {
  const { auth, ehloName, connections, messagesPerConnection, maxAgeMs, rates } = settings;
  return [
    hostOf(settings),
    describeTls(settings),
    describeAuth(auth),
    ...(ehloName === null ? [] : [`EHLO ${ehloName}`]),
    counted(connections, 'connection'),
    `each closed after ${counted(messagesPerConnection, 'message')} or ${formatDuration(maxAgeMs)}`,
    rates.length === 0 ? 'no rate' : formatRates(rates),
  ].join(', ');
}

function describeTls({ implicitTls, tls, verifyCertificate, ca, clientCertificate }: TransportSettings): string {
  if (!implicitTls && tls === 'none') return 'no TLS';
  const how = implicitTls ? 'TLS from the first byte' : tls === 'require' ? 'STARTTLS' : 'STARTTLS where it is offered';
  const more = [
    ...(verifyCertificate ? [] : ['certificate not verified']),
    ...(ca === null ? [] : ['own CA']),
    ...(clientCertificate === null ? [] : ['client certificate']),
  ];
  return more.length === 0 ? how : `${how} (${more.join(', ')})`;
}

function describeAuth(auth: Auth | null): string {
  if (auth === null) return 'no login';
  if (auth.kind === 'oauth2') return 'login with XOAUTH2';
  return `login with a password${auth.method === null ? '' : ` (${auth.method})`}`;
}

function describeRoute(route: Route): string {
  const order =
    route.kind === 'failover'
      ? route.transports.join(', then ')
      : Object.entries(route.weights)
          .map(([name, weight]) => `${name} ${weight}`)
          .join(' : ');
  return `${order}; ${Math.round(route.reserve * 100)}% of the connections kept for transactional mail`;
}

function describeRule({ when, route }: Rule): string {
  const conditions = [
    ...(when.lane === undefined ? [] : [`lane ${when.lane}`]),
    ...(when.fromDomain === undefined ? [] : [`from ${when.fromDomain}`]),
    ...Object.entries(when.tags).map(([name, value]) => `tag ${printable(name)}=${printable(value)}`),
  ];
  return `${conditions.join(', ')} -> ${route}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** Text from a file must not control the terminal that shows it. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, ' ');
}
