/** The HTTP server: limits, authentication, errors, and the list of routes. */
import swagger from '@fastify/swagger';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import type { RefusalReason } from '../domain/problem.ts';
import { type AuthDeps, guardWithKeys } from './auth.ts';
import { readBodies } from './bodies.ts';
import { smallBodyBytes } from './body-room.ts';
import { makeConnections } from './connections.ts';
import { wording } from './faults.ts';
import { addRoutes } from './methods.ts';
import { refuseUnknownQueries } from './no-query.ts';
import { generatorOptions } from './openapi/generator.ts';
import { answerErrorsAsProblems, answerFrameworkError, type ErrorDeps } from './problems.ts';
import { checkHead } from './request-heads.ts';

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
    /** The body as it was sent. */
    given: unknown;
    /** Why the request was refused; null when it was not. */
    refusal: RefusalReason | null;
  }
}

/** An unsubscribe token holds an encrypted address of up to 254 octets. */
const maxParamLength = 500;

export type ServerDeps = ErrorDeps &
  AuthDeps & {
    readonly version: string;
    /** Bytes of large bodies in memory at once. Unlimited by default, for a server that takes none. */
    readonly bodyBytes?: number;
    /** Routes below /v1, behind an API key. */
    readonly api: readonly Routes[];
    /** Open routes at the root. */
    readonly open: readonly Routes[];
    newRequestId(): string;
    /** Whether the process is stopping. */
    isDraining(): boolean;
    report(request: {
      id: string;
      method: string;
      route: string;
      status: number;
      ms: number;
      keyId: string | null;
      refusal: RefusalReason | null;
      takesMail: boolean;
    }): void;
  };

/**
 * How often connections are closed during a stop. An answer that began before the stop could not say `Connection: close`, so its connection
 * stays open until then.
 */
const closeEveryMs = 100;

/**
 * Accepts no more connections and answers the requests that have come. When `over` is aborted, unfinished ones, such as an upload that hangs,
 * are cut off.
 */
export async function closeServer(app: App, over: AbortSignal): Promise<void> {
  const end = () => (over.aborted ? app.server.closeAllConnections() : app.server.closeIdleConnections());
  const ending = setInterval(end, closeEveryMs);
  await app.close();
  clearInterval(ending);
}

/** Reports each request once: when it is answered, or when its client goes away before the request came whole. That counts as a 400. */
function reportRequests(app: App, report: ServerDeps['report']): void {
  const headOf = (request: FastifyRequest) => ({
    id: request.id,
    method: request.method,
    route: request.routeOptions.url ?? 'unknown',
    keyId: request.apiKey?.id ?? null,
    takesMail: request.routeOptions.config.sheds !== undefined,
  });
  app.addHook('onResponse', async (request, reply) => {
    report({ ...headOf(request), status: reply.statusCode, ms: reply.elapsedTime, refusal: request.refusal });
  });
  app.addHook('onRequest', (request, reply, done) => {
    request.raw.once('close', () => {
      if (request.raw.complete || reply.raw.writableFinished) return;
      report({ ...headOf(request), status: 400, ms: reply.elapsedTime, refusal: 'unreadable_request' });
    });
    done();
  });
}

/** Builds the server; it does not listen yet. */
export async function buildServer(deps: ServerDeps): Promise<App> {
  const connections = makeConnections();
  const app = fastify({
    serverFactory: connections.makeServer,
    // For routes that carry no mail.
    bodyLimit: smallBodyBytes,
    // With a base URL that ends with a slash, some SDKs make paths with two slashes. Some clients end each path with one.
    routerOptions: { maxParamLength, ignoreDuplicateSlashes: true, ignoreTrailingSlash: true },
    genReqId: deps.newRequestId,
    // Fastify would answer 503 to requests during a stop. Each is accepted or refused by its own merits instead: the process lives until it is
    // answered.
    return503OnClosing: false,
    frameworkErrors: answerFrameworkError,
    // `connections` answers client errors, at each address.
    clientErrorHandler: () => {},
    // One line per request is written by the hook below.
    logger: false,
  }).withTypeProvider<ZodTypeProvider>();
  app.addHook('onRequest', (request, _reply, done) => {
    checkHead(request);
    done();
  });
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (request.routeOptions.config.takesRecords !== undefined) connections.letFlow(request.raw);
    done(null, payload);
  });
  app.decorateRequest('refusal', null);
  readBodies(app, deps.bodyBytes ?? Number.POSITIVE_INFINITY);
  app.setValidatorCompiler<z.ZodType>(({ schema }) => (data) => {
    const parsed = schema.safeParse(data, wording);
    return parsed.success ? { value: parsed.data } : { error: parsed.error };
  });
  // Tests check answers against their schemas. Checking each answer here would cost more than making it.
  app.setSerializerCompiler(() => JSON.stringify);
  answerErrorsAsProblems(app, deps);
  await app.register(swagger, generatorOptions(deps.version));

  // A connection kept alive would keep the process alive, and bring new requests to it while it stops.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (deps.isDraining()) reply.header('connection', 'close');
    done();
  });
  reportRequests(app, deps.report);

  for (const routes of deps.open)
    await app.register(async (scope) => addRoutes(scope.withTypeProvider<ZodTypeProvider>(), [routes]));
  await app.register(
    async (scope) => {
      const guarded = scope.withTypeProvider<ZodTypeProvider>();
      guardWithKeys(guarded, deps);
      refuseUnknownQueries(guarded);
      addRoutes(guarded, deps.api);
    },
    { prefix: '/v1' },
  );
  await app.ready();
  return app;
}
