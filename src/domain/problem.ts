/** Problems an API answer can tell of (RFC 9457): the one list of names, their status and title. */

const problemKinds = {
  unreadable_request: { status: 400, title: 'The request could not be read' },
  invalid_idempotency_key: { status: 400, title: 'The Idempotency-Key header is not valid' },
  missing_api_key: { status: 401, title: 'No API key was given' },
  invalid_api_key: { status: 401, title: 'The API key is not known' },
  not_found: { status: 404, title: 'There is no such resource' },
  payload_too_large: { status: 413, title: 'The request body is too large' },
  unsupported_media_type: { status: 415, title: 'The request body has a media type that is not supported' },
  validation_error: { status: 422, title: 'The request is not valid' },
  invalid_idempotent_request: { status: 422, title: 'The Idempotency-Key was used before with another body' },
  internal_server_error: { status: 500, title: 'Something went wrong here' },
  service_unavailable: { status: 503, title: 'The service cannot take this now' },
} as const;

export type ProblemName = keyof typeof problemKinds;

/** One fault in a request; `pointer` is a JSON pointer (RFC 6901) into the body. */
export type Fault = { readonly pointer: string; readonly code: string; readonly message: string };

/** `name, message, statusCode` repeat `type, detail, status` under the names that SDKs read. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly errors?: readonly Fault[];
  readonly name: ProblemName;
  readonly message: string;
  readonly statusCode: number;
};

export function makeProblem(name: ProblemName, detail: string, instance: string, errors?: readonly Fault[]): Problem {
  const { status, title } = problemKinds[name];
  return {
    type: `urn:postrider:problem:${name}`,
    title,
    status,
    detail,
    instance,
    ...(errors === undefined ? {} : { errors }),
    name,
    message: detail,
    statusCode: status,
  };
}

/** What a status can mean here, in words. */
export function titlesOf(status: number): string {
  const titles = Object.values(problemKinds).filter((kind) => kind.status === status);
  return titles.map(({ title }) => title).join(', or ');
}
