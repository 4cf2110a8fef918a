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
    /** Why it was refused; null when it was not. */
    refusal: RefusalReason | null;
  }
}

/** A token to unsubscribe with holds an address of 254 octets, sealed. */
const maxParamLength = 500;

export type ServerDeps = ErrorDeps &
  AuthDeps & {
    readonly version: string;
    /** Bytes of large bodies in hand at once; any number by default, for a server that takes none. */
    readonly bodyBytes?: number;
    /** Below /v1, behind an API key. */
    readonly api: readonly Routes[];
    /** At the root, open. */
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

/** An answer that began before the stop could not say that its connection ends: it is closed this long after at most. */
const closeEveryMs = 100;

/** Takes no more connections and answers what has come. What is not over when `over` is aborted, as an upload that hangs, is cut off. */
export async function closeServer(app: App, over: AbortSignal): Promise<void> {
  const end = () => (over.aborted ? app.server.closeAllConnections() : app.server.closeIdleConnections());
  const ending = setInterval(end, closeEveryMs);
  await app.close();
  clearInterval(ending);
}

/** Each request once: when it is answered, or when its client goes before it came whole, as an answer to that would say. */
function reportRequests(app: App, report: ServerDeps['report']): void {
  const headOf = (request: FastifyRequest) => ({
    id: request.id,
    method: request.method,
    route: request.routeOptions.url ?? 'unknown',
    keyId: request.apiKey?.id ?? null,
    takesMail: request.routeOptions.config.sheds === true,
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
    // Of routes that carry no mail.
    bodyLimit: smallBodyBytes,
    // A base URL that ends with a slash, as of some SDKs, makes two of it.
    routerOptions: { maxParamLength, ignoreDuplicateSlashes: true },
    genReqId: deps.newRequestId,
    // What has come in is taken or refused for its own sake: we are here until it is answered.
    return503OnClosing: false,
    frameworkErrors: answerFrameworkError,
    // Answered at each address by `connections`.
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
  // What we answer is typed and tested against its schema; checking each answer again would cost more than making it.
  app.setSerializerCompiler(() => JSON.stringify);
  answerErrorsAsProblems(app, deps);
  await app.register(swagger, generatorOptions(deps.version));

  // A connection that is kept would keep us, and bring requests to whoever stops.
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
      addRoutes(guarded, deps.api);
    },
    { prefix: '/v1' },
  );
  await app.ready();
  return app;
}
