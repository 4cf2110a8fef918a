/** The problems that an API answer can have (RFC 9457): the one list of names, with status and title. */
import type { CampaignStatus } from './campaign.ts';
import type { RecipientStatus } from './recipient.ts';

const problemKinds = {
  unreadable_request: { status: 400, title: 'The request could not be read' },
  invalid_idempotency_key: { status: 400, title: 'The Idempotency-Key header is not valid' },
  missing_api_key: { status: 401, title: 'No API key was given' },
  invalid_api_key: { status: 401, title: 'The API key is not known' },
  restricted_api_key: { status: 403, title: 'The API key may not do this' },
  invalid_from_address: { status: 403, title: 'The API key may not send from this domain' },
  not_found: { status: 404, title: 'There is no such resource' },
  method_not_allowed: { status: 405, title: 'The path does not allow this method' },
  request_timeout: { status: 408, title: 'The request was not received in time' },
  conflict: { status: 409, title: 'This is not possible in the current state' },
  cursor_expired: { status: 410, title: 'The events after this cursor have been removed' },
  payload_too_large: { status: 413, title: 'The request body is too large' },
  unsupported_media_type: { status: 415, title: 'The request body has a media type that is not supported' },
  expectation_failed: { status: 417, title: 'The Expect header is not supported' },
  validation_error: { status: 422, title: 'The request is not valid' },
  invalid_idempotent_request: { status: 422, title: 'The Idempotency-Key was used before with another body' },
  rate_limit_exceeded: { status: 429, title: 'The API key has used up its rate limit' },
  internal_server_error: { status: 500, title: 'An internal error occurred' },
  service_unavailable: { status: 503, title: 'The service is unavailable for now' },
} as const;

export type ProblemName = keyof typeof problemKinds;
export const problemNames = Object.keys(problemKinds) as readonly ProblemName[];

/** Why a request was refused, for metrics: the name of its problem, or the cause of a 503. */
export const refusalReasons = [...problemNames, 'back_pressure', 'redis_away'] as const;
export type RefusalReason = (typeof refusalReasons)[number];

/** Members beyond the standard ones (RFC 9457 section 3.2). */
export type ProblemExtension = { readonly email_status?: RecipientStatus; readonly campaign_status?: CampaignStatus };

/** One fault in a request. `pointer` is a JSON pointer (RFC 6901) into the body; with `#` before it, into another part of the request. */
export type Fault = { readonly pointer: string; readonly code: string; readonly message: string };

/** `name, message, statusCode` repeat `type, detail, status`, under the names that SDKs read. */
type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly errors?: readonly Fault[];
  readonly name: ProblemName;
  readonly message: string;
  readonly statusCode: number;
} & ProblemExtension;

/** What a problem may have besides its name and detail. */
export type ProblemParts = {
  readonly faults?: readonly Fault[] | undefined;
  readonly more?: ProblemExtension | undefined;
};

/** @param instance the path that was requested */
export function makeProblem(
  name: ProblemName,
  detail: string,
  instance: string,
  { faults, more }: ProblemParts = {},
): Problem {
  const { status, title } = problemKinds[name];
  return {
    type: `urn:postrider:problem:${name}`,
    title,
    status,
    detail,
    instance,
    ...(faults === undefined ? {} : { errors: faults }),
    name,
    message: detail,
    statusCode: status,
    ...more,
  };
}

/** The problems that have this status. */
export function problemsOf(status: number): { readonly name: ProblemName; readonly title: string }[] {
  return problemNames
    .filter((name) => problemKinds[name].status === status)
    .map((name) => ({ name, title: problemKinds[name].title }));
}

/** The titles of the problems that have this status. */
export function titlesOf(status: number): string {
  return problemsOf(status)
    .map(({ title }) => title)
    .join(', or ');
}
