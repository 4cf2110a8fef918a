/** The delivery plan: transports, routes over them, and rules that choose a route; and the transports an email may use. */
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
      /** null means the best method that the server offers. */
      readonly method: AuthMethod | null;
    }
  /** XOAUTH2: access tokens are requested from `tokenUrl` (RFC 6749 section 6). */
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
  /** Implicit TLS from the first byte (smtps, RFC 8314). Otherwise `tls` says whether STARTTLS is required. */
  readonly implicitTls: boolean;
  readonly tls: TlsMode;
  readonly verifyCertificate: boolean;
  /** Certificates in PEM to trust instead of those of Node.js. */
  readonly ca: string | null;
  /** PEM. */
  readonly clientCertificate: { readonly cert: string; readonly key: string } | null;
  readonly auth: Auth | null;
  /** Our name in EHLO (RFC 5321 section 4.1.1.1); null means the name of this service. */
  readonly ehloName: string | null;
  /** Open connections of the whole fleet at most. */
  readonly connections: number;
  /** Messages after which a connection is closed. */
  readonly messagesPerConnection: number;
  /** Milliseconds after which a connection is closed, however busy. */
  readonly maxAgeMs: number;
  /** Messages of the whole fleet: rate and quota together, one for each window, the shortest first. */
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
      /** The share (0 to 1) of each transport's connections that is reserved for transactional mail. */
      readonly reserve: number;
    }
  | { readonly kind: 'weighted'; readonly weights: Readonly<Record<string, number>>; readonly reserve: number };

/** `when` holds if all of its conditions do. `fromDomain` is in lower-case A-labels. */
export type Rule = {
  readonly when: {
    readonly lane?: Lane;
    readonly fromDomain?: string;
    readonly tags: Readonly<Record<string, string>>;
  };
  readonly route: string;
};

/** The result of reading `TRANSPORTS_FILE` again. `mended`: it was faulty, and now equals the plan in use again. `none`: there is no file. */
export type PlanReading = { readonly faults: readonly string[] } | 'changed' | 'mended' | 'same' | 'none';

/** Routes name only transports that exist, rules only routes that exist, and there is always a route `default`. */
export type TransportPlan = {
  readonly transports: Readonly<Record<string, TransportSettings>>;
  readonly routes: Readonly<Record<string, Route>>;
  readonly rules: readonly Rule[];
};

export const defaultRoute = 'default';
export const defaultReserve = 0.25;

/** The plan with one transport, made from `SMTP_URL`. */
export function planOf(settings: TransportSettings): TransportPlan {
  const route: Route = { kind: 'failover', transports: [settings.name], reserve: defaultReserve };
  return {
    transports: recordOf([[settings.name, settings]]),
    routes: recordOf([[defaultRoute, route]]),
    rules: [],
  };
}

/** A record without a prototype: a transport may be called `constructor`, and so may the route of a request. */
export function recordOf<T>(entries: Iterable<readonly [string, T]>): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

/** Transports that could occupy all places of a worker's lane if their servers hang: then mail for the other transports would wait. */
export function crowdingIn({ transports }: TransportPlan, places: number): string[] {
  return Object.values(transports).flatMap(({ name, connections }) => (connections >= places ? [name] : []));
}

export type RouteQuestion = {
  /** The route that the email names; null when it names none. A route that no longer exists counts as none. */
  readonly route: string | null;
  readonly lane: Lane;
  readonly fromDomain: string;
  readonly tags: readonly { readonly name: string; readonly value: string }[];
};

export type Choice = {
  readonly route: string;
  /** In the order in which they are tried. */
  readonly transports: readonly string[];
  readonly reserve: number;
};

/** @param draw 0 to below 1, chooses one of the weighted transports; the same number makes the same choice */
export function chooseTransports(plan: TransportPlan, question: RouteQuestion, draw: () => number): Choice {
  const name = routeOf(plan, question);
  const route = plan.routes[name];
  if (route === undefined) throw new Error(`The plan has no route ${name}`);
  const transports = route.kind === 'failover' ? route.transports : weighted(route.weights, draw());
  return { route: name, transports, reserve: route.reserve };
}

/** The transports for one email. Of weighted transports it is always the same one, so that an email parked for a transport returns to it. */
export function routeFor(plan: TransportPlan, { id, lane, route, tags, from }: EmailFacts): Choice {
  return chooseTransports(plan, { route, lane, tags, fromDomain: domainOf(from.address) }, () => drawOf(id));
}

/** 0 to below 1, always the same for an email: an email that waits for its weighted transport returns to the same one. */
export function drawOf(emailId: string): number {
  return hash('sha1', emailId, 'buffer').readUInt32BE() / 2 ** 32;
}

/** The same for all plans that route mail in the same way: 16 characters. */
export function routingHash({ routes, rules }: TransportPlan): string {
  return hash('sha256', JSON.stringify([routes, rules]), 'base64url').slice(0, 16);
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

/** Chooses one by weight. The others follow as replacements, the heaviest first. */
function weighted(weights: Readonly<Record<string, number>>, draw: number): readonly string[] {
  const entries = Object.entries(weights).sort(([a, weightA], [b, weightB]) => weightB - weightA || (a < b ? -1 : 1));
  let left = draw * entries.reduce((sum, [, weight]) => sum + weight, 0);
  const drawn = entries.findIndex(([, weight]) => {
    left -= weight;
    return left < 0;
  });
  const names = entries.map(([name]) => name);
  // Rounding may leave a rest, which falls to the heaviest.
  const [first] = names.splice(Math.max(drawn, 0), 1);
  return first === undefined ? [] : [first, ...names];
}
