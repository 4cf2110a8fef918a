/** The plan of delivery: transports, routes over them, and rules that choose a route; and which transports an email may go by. */
import { hash } from 'node:crypto';
import { domainOf } from './address.ts';
import type { EmailFacts } from './email.ts';
import type { Lane } from './lane.ts';
import type { Rate } from './rate.ts';

export type TlsMode = 'require' | 'opportunistic' | 'none';

export type AuthMethod = 'PLAIN' | 'LOGIN' | 'CRAM-MD5';

export type Auth =
  | {
      readonly kind: 'password';
      readonly user: string;
      readonly pass: string;
      /** null: the best that the server offers. */
      readonly method: AuthMethod | null;
    }
  /** XOAUTH2: an access token is fetched from `tokenUrl` (RFC 6749 section 6). */
  | {
      readonly kind: 'oauth2';
      readonly user: string;
      readonly clientId: string;
      readonly clientSecret: string;
      readonly refreshToken: string;
      readonly tokenUrl: string;
    };

export type TransportSettings = {
  readonly name: string;
  /** A host name in lower-case A-labels or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Implicit TLS from the first byte (smtps, RFC 8314); otherwise `tls` says what STARTTLS must do. */
  readonly implicitTls: boolean;
  readonly tls: TlsMode;
  readonly verifyCertificate: boolean;
  /** Certificates to trust in place of those Node.js brings, as PEM. */
  readonly ca: string | null;
  /** PEM. */
  readonly clientCertificate: { readonly cert: string; readonly key: string } | null;
  readonly auth: Auth | null;
  /** What we call ourselves to it (EHLO, RFC 5321 section 4.1.1.1); null: by the name this service has for all. */
  readonly ehloName: string | null;
  /** Connections the whole fleet keeps open at most. */
  readonly connections: number;
  /** A connection is closed after this many messages. */
  readonly messagesPerConnection: number;
  /** Milliseconds after which a connection is closed, however busy. */
  readonly maxAgeMs: number;
  /** Messages of the whole fleet: rate and quota together, one per window, the shortest first. */
  readonly rates: readonly Rate[];
};

/** Where it connects to, as `host:port`. */
export function hostOf({ host, port }: Pick<TransportSettings, 'host' | 'port'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export type Route =
  | {
      readonly kind: 'failover';
      readonly transports: readonly string[];
      /** Share (0 to 1) of each transport's connections that bulk mail leaves to transactional mail. */
      readonly reserve: number;
    }
  | { readonly kind: 'weighted'; readonly weights: Readonly<Record<string, number>>; readonly reserve: number };

/** `when` holds if everything in it does; `fromDomain` is in lower-case A-labels. */
export type Rule = {
  readonly when: {
    readonly lane?: Lane;
    readonly fromDomain?: string;
    readonly tags: Readonly<Record<string, string>>;
  };
  readonly route: string;
};

/** What came of reading `TRANSPORTS_FILE` again: `mended` is one that was wrong and is as it was before that, `none` where there is no file. */
export type PlanReading = { readonly faults: readonly string[] } | 'changed' | 'mended' | 'same' | 'none';

/** Routes name only transports that are there, rules only routes that are there, and there is a route `default`. */
export type TransportPlan = {
  readonly transports: Readonly<Record<string, TransportSettings>>;
  readonly routes: Readonly<Record<string, Route>>;
  readonly rules: readonly Rule[];
};

export const defaultRoute = 'default';
export const defaultReserve = 0.25;

/** The plan of one transport, as `SMTP_URL` makes it. */
export function planOf(settings: TransportSettings): TransportPlan {
  const route: Route = { kind: 'failover', transports: [settings.name], reserve: defaultReserve };
  return {
    transports: recordOf([[settings.name, settings]]),
    routes: recordOf([[defaultRoute, route]]),
    rules: [],
  };
}

/** A record that has nothing but its entries: a transport may be called `constructor`, and a route that is asked for as well. */
export function recordOf<T>(entries: Iterable<readonly [string, T]>): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

/** Transports that could hold all places of a worker's lane, should their servers hang: mail for the others would wait behind theirs. */
export function crowdingIn({ transports }: TransportPlan, places: number): string[] {
  return Object.values(transports).flatMap(({ name, connections }) => (connections >= places ? [name] : []));
}

export type RouteQuestion = {
  /** The route the email asks for; null when it asks for none. One that is not there any more counts as none. */
  readonly route: string | null;
  readonly lane: Lane;
  readonly fromDomain: string;
  readonly tags: readonly { readonly name: string; readonly value: string }[];
};

export type Choice = {
  readonly route: string;
  /** In the order in which to try them. */
  readonly transports: readonly string[];
  readonly reserve: number;
};

/** @param draw from 0 to below 1, by which one is drawn of several with weights; the same for the same choice */
export function chooseTransports(plan: TransportPlan, question: RouteQuestion, draw: () => number): Choice {
  const name = routeOf(plan, question);
  const route = plan.routes[name];
  if (route === undefined) throw new Error(`The plan has no route ${name}`);
  const transports = route.kind === 'failover' ? route.transports : weighted(route.weights, draw());
  return { route: name, transports, reserve: route.reserve };
}

/** The way of one email: of weighted transports the same one each time, so that what is parked for it comes back to it. */
export function routeFor(plan: TransportPlan, { id, lane, route, tags, from }: EmailFacts): Choice {
  return chooseTransports(plan, { route, lane, tags, fromDomain: domainOf(from.address) }, () => drawOf(id));
}

/** From 0 to below 1, always the same for an email: what waits for the transport that was drawn for it comes back to that one. */
export function drawOf(emailId: string): number {
  return hash('sha1', emailId, 'buffer').readUInt32BE() / 2 ** 32;
}

/** Whether mail finds the same way by both plans. */
export function isSameRouting(a: TransportPlan, b: TransportPlan): boolean {
  const routing = ({ routes, rules }: TransportPlan) => JSON.stringify([routes, rules]);
  return a === b || routing(a) === routing(b);
}

function routeOf(plan: TransportPlan, question: RouteQuestion): string {
  if (question.route !== null && Object.hasOwn(plan.routes, question.route)) return question.route;
  return plan.rules.find((rule) => holds(rule, question))?.route ?? defaultRoute;
}

function holds({ when }: Rule, { lane, fromDomain, tags }: RouteQuestion): boolean {
  if (when.lane !== undefined && when.lane !== lane) return false;
  if (when.fromDomain !== undefined && when.fromDomain !== fromDomain.toLowerCase()) return false;
  return Object.entries(when.tags).every(([name, value]) =>
    tags.some((tag) => tag.name === name && tag.value === value),
  );
}

/** One is drawn by weight; the others stand in for it, the heaviest first. */
function weighted(weights: Readonly<Record<string, number>>, draw: number): readonly string[] {
  const entries = Object.entries(weights).sort(([a, weightA], [b, weightB]) => weightB - weightA || (a < b ? -1 : 1));
  let left = draw * entries.reduce((sum, [, weight]) => sum + weight, 0);
  const drawn = entries.findIndex(([, weight]) => {
    left -= weight;
    return left < 0;
  });
  const names = entries.map(([name]) => name);
  // A sum of fractions may leave a rest: the heaviest has it.
  const [first] = names.splice(Math.max(drawn, 0), 1);
  return first === undefined ? [] : [first, ...names];
}
