/** Adds routes, and answers 405 to every method that a path of theirs does not have. */
import type { FastifyReply } from 'fastify';
import { ProblemError } from './problems.ts';
import type { App, Routes } from './server.ts';

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** Routes that do not stand in the API's document keep to what they say themselves. */
export function addRoutes(scope: App, list: readonly Routes[]): void {
  const allowed = new Map<string, string[]>();
  scope.addHook('onRoute', ({ method, routePath, schema }) => {
    if (schema?.hide !== true) allowed.set(routePath, [...(allowed.get(routePath) ?? []), method].flat());
  });
  for (const routes of list) routes(scope);
  for (const [path, those] of allowed) refuseOthers(scope, path, those);
}

/** Refused in onRequest, after the scope's own hooks (a caller without a key learns nothing) and before any body is read. */
function refuseOthers(scope: App, path: string, allowed: readonly string[]): void {
  const allow = allowed.join(', ');
  const refuse = async (_request: unknown, reply: FastifyReply): Promise<never> => {
    reply.header('allow', allow);
    throw new ProblemError('method_not_allowed', `This path takes ${allow}`);
  };
  const others = methods.filter((method) => !allowed.includes(method));
  if (others.length > 0)
    scope.route({
      method: others,
      url: path,
      config: { scope: 'any' },
      schema: { hide: true },
      onRequest: refuse,
      handler: refuse,
    });
}
