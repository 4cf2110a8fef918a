/** Adds routes, and answers 405 to every method that a path does not have. */
import type { FastifyReply } from 'fastify';
import { ProblemError } from './problems.ts';
import type { App, Routes } from './server.ts';

/** The methods the router knows. A request with any other is not found. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY'] as const;

export function addRoutes(scope: App, list: readonly Routes[]): void {
  const paths = new Set<string>();
  scope.addHook('onRoute', ({ url }) => void paths.add(url.slice(scope.prefix.length)));
  for (const routes of list) routes(scope);
  // By then plugins, such as that of /docs, have added their routes.
  scope.after(() => {
    for (const path of [...paths]) refuseOthers(scope, path);
  });
}

/** Refused in onRequest: after the hooks of the scope, so that a caller without a key learns nothing, and before any body is read. */
function refuseOthers(scope: App, path: string): void {
  const url = scope.prefix + path;
  const others = methods.filter((method) => !scope.hasRoute({ method, url }));
  const allow = methods.filter((method) => !others.includes(method)).join(', ');
  const refuse = async (_request: unknown, reply: FastifyReply): Promise<never> => {
    reply.header('allow', allow);
    throw new ProblemError('method_not_allowed', `This path takes ${allow}`);
  };
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
