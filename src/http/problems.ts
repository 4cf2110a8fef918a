/** Every error an answer can carry becomes application/problem+json here, and nowhere else. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Fault, makeProblem, type ProblemName, titlesOf } from '../domain/problem.ts';

/** Thrown by a route to answer with a problem. */
export class ProblemError extends Error {
  readonly problem: ProblemName;
  readonly faults: readonly Fault[] | undefined;
  constructor(problem: ProblemName, detail: string, faults?: readonly Fault[]) {
    super(detail);
    this.problem = problem;
    this.faults = faults;
  }
}

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    errors: z.array(z.object({ pointer: z.string(), code: z.string(), message: z.string() })).optional(),
    name: z.string(),
    message: z.string(),
    statusCode: z.int(),
  })
  .meta({
    id: 'Problem',
    description: 'RFC 9457 problem details; `name`, `message` and `statusCode` say the same to SDKs.',
  });

/** The problems a route may answer with, for its response schema. */
export function problemAnswers<Status extends number>(...statuses: readonly Status[]) {
  const content = { 'application/problem+json': { schema: problemSchema } };
  return Object.fromEntries(statuses.map((status) => [status, { description: titlesOf(status), content }])) as Record<
    Status,
    { description: string; content: typeof content }
  >;
}

/** Seconds after which a client may try again what was refused with 503. */
const retryAfterSeconds = 2;

export type ErrorDeps = {
  /** Redis is away or refuses to write: trouble of ours that passes, not a bug. */
  isStoreTrouble(error: unknown): boolean;
  onBug(error: Error, request: { method: string; route: string }): void;
};

export function answerErrorsAsProblems(app: FastifyInstance, deps: ErrorDeps): void {
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    const { name, detail, faults } = explain(error, deps);
    if (name === 'internal_server_error')
      deps.onBug(error, { method: request.method, route: request.routeOptions.url ?? '' });
    if (name === 'service_unavailable') reply.header('retry-after', retryAfterSeconds);
    return sendProblem(request, reply, name, detail, faults);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, 'not_found', `There is nothing at ${request.method} ${pathOf(request)}`),
  );
}

/** What fastify refuses before any route or hook: a URL it cannot decode, or one with an overlong part. */
export function answerFrameworkError(_error: Error, request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(
    request,
    reply,
    'unreadable_request',
    'The URL has a part that is too long or not encoded as it should be',
  );
}

function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  name: ProblemName,
  detail: string,
  faults?: readonly Fault[],
) {
  const problem = makeProblem(name, detail, pathOf(request), faults);
  // Serialised here: the route's own response schemas are not made for problems.
  return reply.status(problem.status).type('application/problem+json').serializer(JSON.stringify).send(problem);
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? '';
}

type Explanation = { name: ProblemName; detail: string; faults?: readonly Fault[] | undefined };

function explain(error: FastifyError | Error, deps: ErrorDeps): Explanation {
  if (error instanceof ProblemError) return { name: error.problem, detail: error.message, faults: error.faults };
  if (error instanceof z.ZodError) return invalid(error);
  if (deps.isStoreTrouble(error))
    return {
      name: 'service_unavailable',
      detail: 'The store is not available. Try again; with an Idempotency-Key a repeat can do no harm.',
    };
  const status = 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return { name: 'payload_too_large', detail: 'The body is larger than this route allows' };
  if (status === 415) return { name: 'unsupported_media_type', detail: 'Send the body as application/json' };
  if (status !== undefined && status >= 400 && status < 500)
    return { name: 'unreadable_request', detail: error.message };
  return { name: 'internal_server_error', detail: 'The request failed through no fault of yours. It has been logged.' };
}

function invalid(error: z.ZodError): Explanation {
  const faults = error.issues.flatMap(toFaults);
  const detail = faults.map(({ pointer, message }) => `${pointer || 'body'}: ${message}`).join('; ');
  return { name: 'validation_error', detail, faults };
}

function toFaults(issue: z.core.$ZodIssue): Fault[] {
  const pointer = toPointer(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      pointer: pointer + toPointer([key]),
      code: 'unknown_field',
      message: 'is not a known field',
    }));
  }
  return [{ pointer, code: issue.code, message: issue.message }];
}

/** RFC 6901. */
function toPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
