/** Authentication and permission: the Bearer key, its rate limit, the scope of the route, and back-pressure on new mail. */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ApiKey, adminKey, hashToken, isUnrestricted, ratesOf, type Scope, scopes } from '../domain/api-key.ts';
import type { Lane } from '../domain/lane.ts';
import { tightestOfEach } from '../domain/rate.ts';
import type { Pressure } from '../pipeline/check-back-pressure.ts';
import type { ApiKeys } from '../store/api-keys.ts';
import type { RateLimits } from '../store/rate-limits.ts';
import { refusalOfAll } from './back-pressure.ts';
import { ProblemError } from './problems.ts';
import { rateLimitHeaders, retryAfterSeconds } from './rate-limit-headers.ts';
import type { App } from './server.ts';

declare module 'fastify' {
  interface FastifyRequest {
    apiKey: ApiKey;
  }
  interface FastifyContextConfig {
    /** The scope a key needs to call this route. `any`: every key may call it, since it does nothing. Every route below /v1 must set it. */
    scope?: Scope | 'any';
    /** Refuses keys that are limited to domains or lanes. */
    unrestricted?: boolean;
    /** The route accepts mail of these lanes: it is refused before its body is read while none of them takes any. */
    sheds?: readonly Lane[];
  }
}

export type AuthDeps = {
  readonly adminToken: string;
  readonly apiKeys: Pick<ApiKeys, 'find'>;
  readonly rateLimits: Pick<RateLimits, 'take'>;
  readonly pressure: Readonly<Pressure>;
  now(): number;
};

/** Puts every route of `app` behind an API key. A route without a scope is an error when the server is built. */
export function guardWithKeys(app: App, deps: AuthDeps): void {
  const adminHash = Buffer.from(hashToken(deps.adminToken));

  async function callerOf(request: FastifyRequest): Promise<ApiKey> {
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined)
      throw new ProblemError('missing_api_key', 'Send your API key as "Authorization: Bearer pr_…"');
    const hash = hashToken(token);
    if (timingSafeEqual(Buffer.from(hash), adminHash)) return adminKey;
    const known = await deps.apiKeys.find(hash, deps.now());
    if (known === null) throw new ProblemError('invalid_api_key', 'The API key is not known here, or was revoked');
    return known;
  }

  async function spendRate(key: ApiKey, reply: FastifyReply): Promise<void> {
    const all = ratesOf(key);
    if (all.length === 0) return;
    const { isAllowed, windows } = await deps.rateLimits.take(all);
    // A key shares the limits of the keys above it. Of windows of equal length, the headers show the one with the least left.
    reply.headers(rateLimitHeaders(tightestOfEach(windows)));
    if (isAllowed) return;
    const seconds = retryAfterSeconds(windows);
    reply.header('retry-after', seconds);
    throw new ProblemError(
      'rate_limit_exceeded',
      `Try again in ${seconds} s; RateLimit-Policy says what this key may do`,
    );
  }

  app.addHook('onRoute', (route) => {
    const scope = route.config?.scope;
    if (scope === undefined)
      throw new Error(
        `${route.method} ${route.url} has no scope: give it config: { scope: '${scopes.join("' | '")}' }`,
      );
    const description = [route.schema?.description, neededFor(route.config)].filter((part) => part !== undefined);
    route.schema = { ...route.schema, description: description.join(' '), security: [{ apiKey: [scope] }] };
  });
  app.addHook('onRequest', async (request, reply) => {
    const { config } = request.routeOptions;
    request.apiKey = await callerOf(request);
    await spendRate(request.apiKey, reply);
    checkMay(request.apiKey, config);
    const refusal = config.sheds ? refusalOfAll({ ...deps, key: request.apiKey }, config.sheds) : null;
    if (refusal !== null) throw refusal;
  });
}

/** What a key needs for a route, in the words of the API document. */
function neededFor({ scope, unrestricted }: Needs = {}): string {
  if (scope === 'any') return 'Any key will do.';
  return `Needs a key with the scope \`${scope}\`${unrestricted ? ' that is limited to no `from_domains` and no `lanes`' : ''}.`;
}

type Needs = { scope?: Scope | 'any'; unrestricted?: boolean };

function checkMay(key: ApiKey, route: Needs): void {
  if (route.scope === 'any') return;
  if (route.scope === undefined || !key.scopes.includes(route.scope))
    throw new ProblemError(
      'restricted_api_key',
      `This needs a key with the scope ${route.scope}; this key has ${key.scopes.join(', ')}`,
    );
  if (route.unrestricted && !isUnrestricted(key))
    throw new ProblemError(
      'restricted_api_key',
      'This concerns all mail, so it needs a key without from_domains and lanes',
    );
}
