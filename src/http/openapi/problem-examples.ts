/** An example of each problem, with the text a caller really gets. */
import type { CampaignStatus } from '../../domain/campaign.ts';
import { type Fault, makeProblem, type ProblemName, type ProblemParts } from '../../domain/problem.ts';
import type { Example } from './document.ts';
import type { Examples } from './examples.ts';

const emailPath = '/v1/emails/em_01kb2m7x4p6q8s0t2v4w6x8y0z';

/** Shared by all routes, so an example may show another route than the one it is read at. */
export const problemExamples: Readonly<Record<ProblemName, Required<Example>>> = {
  unreadable_request: problem(
    'unreadable_request',
    'The body is not valid JSON: expected a name in quotes at line 5, column 1, found "}"',
    '/v1/emails',
  ),
  invalid_idempotency_key: problem(
    'invalid_idempotency_key',
    'Idempotency-Key must be 1 to 256 printable ASCII characters',
    '/v1/emails',
  ),
  missing_api_key: problem('missing_api_key', 'Send your API key as "Authorization: Bearer pr_…"', '/v1/emails'),
  invalid_api_key: problem('invalid_api_key', 'The API key is not known here, or was revoked', '/v1/emails'),
  restricted_api_key: problem(
    'restricted_api_key',
    'This needs a key with the scope manage; this key has send, read',
    '/v1/webhooks',
  ),
  invalid_from_address: withFaults('invalid_from_address', '/v1/emails', [
    { pointer: '/from', code: 'forbidden', message: 'this key may not send from example.net' },
  ]),
  not_found: problem('not_found', 'There is no email em_01kb2m7x4p6q8s0t2v4w6x8y0z', emailPath),
  method_not_allowed: problem('method_not_allowed', 'This path takes GET, HEAD, PATCH', emailPath),
  request_timeout: problem(
    'request_timeout',
    'The request was not received in time: all of it within 60 s, and 4,800 bytes or the rest in each 20 s',
    '/v1/emails',
  ),
  conflict: conflict('canceled', 'no recipient is waiting or held any more', 'sent', '/cancel'),
  cursor_expired: problem(
    'cursor_expired',
    'Some events after this cursor were removed before they were read. Continue without after, which begins with the oldest stored event; GET /v1/emails shows the status of the emails',
    '/v1/events',
  ),
  payload_too_large: problem(
    'payload_too_large',
    'The body is larger than the 41943040 bytes this route allows',
    '/v1/emails',
  ),
  unsupported_media_type: problem('unsupported_media_type', 'Send the body as application/json in UTF-8', '/v1/emails'),
  expectation_failed: problem('expectation_failed', 'Expect may be 100-continue', '/v1/emails'),
  validation_error: withFaults('validation_error', '/v1/emails', [
    { pointer: '/to/1', code: 'custom', message: 'is not an address: expected local-part@domain' },
    { pointer: '/subject', code: 'required', message: 'is required' },
    { pointer: '/colour', code: 'unknown_field', message: 'is not a known field' },
  ]),
  invalid_idempotent_request: problem(
    'invalid_idempotent_request',
    'This Idempotency-Key was used for another request (another body, or another id in the path) in the last 24 hours',
    '/v1/emails',
  ),
  rate_limit_exceeded: problem(
    'rate_limit_exceeded',
    'Try again in 1 s; RateLimit-Policy says what this key may do',
    '/v1/emails',
  ),
  internal_server_error: problem(
    'internal_server_error',
    'The request failed through no fault of yours. It has been logged.',
    '/v1/emails',
  ),
  service_unavailable: problem(
    'service_unavailable',
    'The store is not available. Try again; with an Idempotency-Key a repeat can do no harm.',
    '/v1/emails',
  ),
};

/** For requests without a body, where the fault is in the URL. */
export const urlProblemExamples: Readonly<Record<'unreadable_url' | 'invalid_query', Required<Example>>> = {
  unreadable_url: problem(
    'unreadable_request',
    'The URL has a part that is too long or not encoded as it should be',
    '/v1/emails/%E0%A4%A',
  ),
  invalid_query: withFaults('validation_error', '/v1/emails', [
    { pointer: '#/query/limit', code: 'too_big', message: 'must be at most 100' },
  ]),
};

/**
 * The name of a problem's example in the document.
 * @param method in lower case
 */
export function exampleNameOf(problem: ProblemName, method: string): keyof Components {
  if (method === 'get' && problem === 'unreadable_request') return 'unreadable_url';
  if (method === 'get' && problem === 'validation_error') return 'invalid_query';
  return problem;
}

type Components = typeof problemExamples & typeof urlProblemExamples;

export function faultExamples(instance: string, ...faults: readonly Fault[]): Examples {
  return { validation_error: withFaults('validation_error', instance, faults) };
}

export function notFoundExamples(detail: string, instance: string): Examples {
  return { not_found: problem('not_found', detail, instance) };
}

/** Changes that come too late. The one for cancel is in `problemExamples`, which all routes share. */
export const conflictExamples = {
  reschedule: { conflict: conflict('rescheduled', 'it is no longer scheduled', 'sent', '') },
  retry: {
    conflict: conflict(
      'retried',
      'no recipient failed, expired, is held, or was refused for a reason other than the recipient',
      'deferred',
      '/retry',
    ),
  },
} satisfies Record<string, Examples>;

/** A change that failed because another change came first. */
export function overtakenExamples(detail: string, instance: string): Examples {
  return { conflict: problem('conflict', detail, instance) };
}

/** @param what the campaign cannot be, and why */
export function campaignConflictExamples(what: string, status: CampaignStatus, instance: string): Examples {
  const detail = `Campaign cm_01kb2m9c8e0g2j4m6p8r000000 cannot be ${what}. Its status is ${status}.`;
  return { conflict: problem('conflict', detail, instance, { more: { campaign_status: status } }) };
}

function conflict(change: string, why: string, status: 'sent' | 'deferred', path: string): Required<Example> {
  const detail = `Email em_01kb2m7x4p6q8s0t2v4w6x8y0z cannot be ${change}: ${why}. Its status is ${status}.`;
  return problem('conflict', detail, `${emailPath}${path}`, { more: { email_status: status } });
}

function withFaults(name: ProblemName, instance: string, faults: readonly Fault[]): Required<Example> {
  const detail = faults.map(({ pointer, message }) => `${pointer}: ${message}`).join('; ');
  return problem(name, detail, instance, { faults });
}

function problem(name: ProblemName, detail: string, instance: string, parts?: ProblemParts): Required<Example> {
  const value = makeProblem(name, detail, instance, parts);
  return { summary: value.title, value };
}
