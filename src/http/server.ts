/** The HTTP server: limits, authentication, errors, and the list of routes. */
import swagger from '@fastify/swagger';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { type ApiKey, authenticate } from './auth.ts';
import { answerErrorsAsProblems, answerFrameworkError, type ErrorDeps } from './problems.ts';

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** Adds the routes of one noun. */
export type Routes = (app: App) => void;

declare module 'fastify' {
  interface FastifyRequest {
    apiKey: ApiKey;
    /** The body as it was sent. */
    given: unknown;
  }
}

/** Bytes of a body on routes that carry no mail. */
const maxBodyBytes = 256 * 1024;
/** From the first byte of a request to its last. */
const requestTimeoutMs = 60_000;
const keepAliveMs = 65_000;
const maxParamLength = 200;

export type ServerDeps = ErrorDeps & {
  readonly apiKeys: readonly ApiKey[];
  readonly version: string;
  /** Below /v1, behind an API key. */
  readonly api: readonly Routes[];
  /** At the root, open. */
  readonly open: readonly Routes[];
  newRequestId(): string;
  report(request: {
    id: string;
    method: string;
    route: string;
    status: number;
    ms: number;
    keyId: string | null;
  }): void;
};

/** Builds the server; it does not listen yet. */
export async function buildServer(deps: ServerDeps): Promise<App> {
  const app = fastify({
    bodyLimit: maxBodyBytes,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    routerOptions: { maxParamLength },
    genReqId: deps.newRequestId,
    frameworkErrors: answerFrameworkError,
    // One line per request is written by the hook below.
    logger: false,
  }).withTypeProvider<ZodTypeProvider>();
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler<z.ZodType>(({ schema }) => (data) => {
    const parsed = schema.safeParse(data);
    return parsed.success ? { value: parsed.data } : { error: parsed.error };
  });
  // What we answer is typed and tested against its schema; checking each answer again would cost more than making it.
  app.setSerializerCompiler(() => JSON.stringify);
  answerErrorsAsProblems(app, deps);
  await app.register(swagger, {
    openapi: openapiHead(deps.version),
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });

  app.addHook('onResponse', async (request, reply) => {
    deps.report({
      id: request.id,
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      keyId: request.apiKey?.id ?? null,
    });
  });

  for (const routes of deps.open)
    await app.register(async (scope) => routes(scope.withTypeProvider<ZodTypeProvider>()));
  await app.register(
    async (scope) => {
      scope.addHook('onRequest', async (request) => {
        request.apiKey = authenticate(request, deps.apiKeys);
      });
      for (const routes of deps.api) routes(scope.withTypeProvider<ZodTypeProvider>());
    },
    { prefix: '/v1' },
  );
  await app.ready();
  return app;
}

function openapiHead(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Postrider',
      version,
      description: 'Send email over HTTP; learn what became of it by webhook or by asking.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    components: { securitySchemes: { apiKey: { type: 'http' as const, scheme: 'bearer' } } },
    security: [{ apiKey: [] }],
  };
}
