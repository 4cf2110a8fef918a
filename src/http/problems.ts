/** Every error an answer can carry becomes a problem here, and nowhere else. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { campaignStatuses } from '../domain/campaign.ts';
import {
  type Fault,
  makeProblem,
  type ProblemExtension,
  type ProblemName,
  type ProblemParts,
  problemNames,
  type RefusalReason,
  titlesOf,
} from '../domain/problem.ts';
import { status } from './answer-fields.ts';
import { faultsOf } from './faults.ts';
import { problemMedia, problemTypeFor } from './problem-media.ts';

/** Thrown by a route to answer with a problem. */
export class ProblemError extends Error {
  readonly problem: ProblemName;
  readonly faults: readonly Fault[] | undefined;
  readonly more: ProblemExtension | undefined;
  /** As it is counted, where that is another than its name. */
  readonly reason: RefusalReason | undefined;
  constructor(
    problem: ProblemName,
    detail: string,
    { faults, more, reason }: ProblemParts & { readonly reason?: RefusalReason } = {},
  ) {
    super(detail);
    this.problem = problem;
    this.faults = faults;
    this.more = more;
    this.reason = reason;
  }

  /** Too much waits, or is in hand, for another to be taken now. */
  static ofBackPressure(detail: string): ProblemError {
    return new ProblemError('service_unavailable', detail, { reason: 'back_pressure' });
  }

  /** A problem that its faults tell all of. */
  static of(problem: ProblemName, faults: readonly Fault[]): ProblemError {
    return new ProblemError(problem, detailOf(faults), { faults: faults.slice(0, maxFaults) });
  }
}

export function sentenceOf({ pointer, message }: Fault): string {
  return `${pointer || 'body'}: ${message}`;
}

/** An answer lists this many faults at most, and its detail names the first of them: a body can have millions. */
const maxFaults = 1_000;
const maxNamed = 10;

const faultSchema = z.object({
  pointer: z.string().meta({ description: 'The place in the request.', examples: ['/to/0'] }),
  code: z.string().meta({ description: 'The kind of error, for programs.' }),
  message: z.string().meta({ description: 'What is wrong, for people. Read it after the name of the field.' }),
});

const problemSchema = z
  .object({
    type: z.string().meta({ description: 'The kind of problem, as a URI.' }),
    title: z.string().meta({ description: 'The kind of problem, in words.' }),
    status: z.int().meta({ description: 'The status code.' }),
    detail: z.string().meta({ description: 'What went wrong this time, and what to do about it.' }),
    instance: z.string().meta({ description: 'The requested path.' }),
    errors: z.array(faultSchema).optional().meta({ description: 'Each error in the request.' }),
    name: z.enum(problemNames).meta({ description: 'The kind of problem, as a name for programs.' }),
    message: z.string().meta({ description: 'The same as `detail`.' }),
    statusCode: z.int().meta({ description: 'The same as `status`.' }),
    email_status: status.optional().meta({ description: 'With 409: the status of the email.' }),
    campaign_status: z.enum(campaignStatuses).optional().meta({ description: 'With 409: the status of the campaign.' }),
  })
  .meta({
    id: 'Problem',
    description: [
      'RFC 9457 problem details; `name`, `message` and `statusCode` repeat them for SDKs.',
      'In `errors`, a `pointer` into the body is a JSON pointer (RFC 6901) such as `/to/0`, empty for the whole body;',
      'a pointer into another part of the request starts with `#`: `#/query/limit`, `#/path/id`, `#/header/idempotency-key`.',
      `At most ${maxFaults} are listed.`,
    ].join(' '),
  });

/** What every route below /v1 may answer, whatever it does: the key, its rate, a bug, the store away. */
const common = [401, 403, 429, 500, 503] as const;

/** The problems a route may answer with, for its response schema: its own, and those that all have in common. */
export function problemAnswers<Status extends number>(...own: readonly Status[]) {
  return problemsAlone<Status | (typeof common)[number]>(...own, ...common);
}

/** The same for a route that asks for no key. */
export function problemsAlone<Status extends number>(...statuses: readonly Status[]) {
  const media = { schema: problemSchema };
  const content = Object.fromEntries(problemMedia.map((type) => [type, media]));
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
    const explanation = explain(error, request, deps);
    const { name, reason } = explanation;
    if (reason !== undefined) request.refusal = reason;
    if (name === 'internal_server_error')
      deps.onBug(error, { method: request.method, route: request.routeOptions.url ?? '' });
    if (name === 'service_unavailable') reply.header('retry-after', retryAfterSeconds);
    // RFC 9110 section 11.6.1.
    if (name === 'missing_api_key' || name === 'invalid_api_key') reply.header('www-authenticate', 'Bearer');
    // Fastify closes the connection after a body it did not take, and a client that is still sending it would lose the answer. The
    // rest of the body is read and dropped instead, within the request's time limit, unless the client asked to close the connection.
    if (reply.hasHeader('connection') && reply.raw.shouldKeepAlive) reply.removeHeader('connection');
    return sendProblem(request, reply, explanation);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, {
      name: 'not_found',
      detail: `There is nothing at ${request.method} ${pathOf(request)}${hintFor(pathOf(request))}`,
    }),
  );
}

/** A base URL without /v1 is an easy mistake with an SDK. */
function hintFor(path: string): string {
  return /^\/+v1\//.test(path) ? '' : ': the paths of the API begin with /v1';
}

/** What fastify refuses before any route or hook: a URL it cannot decode, or one with an overlong part. */
export function answerFrameworkError(_error: Error, request: FastifyRequest, reply: FastifyReply): void {
  const detail = 'The URL has a part that is too long or not encoded as it should be';
  sendProblem(request, reply, { name: 'unreadable_request', detail });
}

function sendProblem(request: FastifyRequest, reply: FastifyReply, { name, detail, ...parts }: Explanation) {
  request.refusal ??= name;
  const problem = makeProblem(name, detail, pathOf(request), parts);
  // Serialised here: the route's own response schemas are not made for problems.
  return reply
    .status(problem.status)
    .header('vary', 'accept')
    .type(problemTypeFor(request.headers.accept))
    .serializer(JSON.stringify)
    .send(problem);
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? '';
}

export const notJsonDetail = 'Send the body as application/json in UTF-8';

export function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError('payload_too_large', tooLargeDetail(maxBytes));
}

function tooLargeDetail(maxBytes: number): string {
  return `The body is larger than the ${maxBytes} bytes this route allows`;
}

type Explanation = ProblemParts & {
  readonly name: ProblemName;
  /** As it is counted, where that is another. */
  readonly reason?: RefusalReason | undefined;
  readonly detail: string;
};

function explain(error: FastifyError | Error, request: FastifyRequest, deps: ErrorDeps): Explanation {
  if (error instanceof ProblemError) {
    const { problem: name, reason, message: detail, faults, more } = error;
    return { name, reason, detail, faults, more };
  }
  if (error instanceof z.ZodError) return invalid(error);
  if (isCutOff(error, request))
    return { name: 'unreadable_request', detail: 'The connection ended before the request had come whole' };
  if (deps.isStoreTrouble(error))
    return {
      name: 'service_unavailable',
      reason: 'redis_away',
      detail: 'The store is not available. Try again; with an Idempotency-Key a repeat can do no harm.',
    };
  const status = 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return { name: 'payload_too_large', detail: tooLargeDetail(request.routeOptions.bodyLimit) };
  if (status === 415) return { name: 'unsupported_media_type', detail: notJsonDetail };
  if (status !== undefined && status >= 400 && status < 500)
    return { name: 'unreadable_request', detail: error.message };
  return { name: 'internal_server_error', detail: 'The request failed through no fault of yours. It has been logged.' };
}

/** Its client went away or was late, so nobody gets the answer. */
function isCutOff(error: FastifyError | Error, { raw }: FastifyRequest): boolean {
  return 'code' in error && cutOffCodes.has(String(error.code)) && raw.destroyed && !raw.complete;
}

const cutOffCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE']);

function invalid(error: z.ZodError & { readonly validationContext?: string }): Explanation {
  const faults = faultsOf(error.issues, error.validationContext);
  return { name: 'validation_error', detail: detailOf(faults), faults: faults.slice(0, maxFaults) };
}

/** Faults in one sentence each, so many as one wants to read. */
function detailOf(faults: readonly Fault[]): string {
  const named = faults.slice(0, maxNamed).map(sentenceOf);
  return [...named, ...(faults.length > maxNamed ? [`and ${faults.length - maxNamed} more`] : [])].join('; ');
}
