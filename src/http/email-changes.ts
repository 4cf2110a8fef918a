/** PATCH /v1/emails/:id, POST …/cancel, POST …/retry: the changes that an accepted email still allows. */
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import type { ApiKey } from '../domain/api-key.ts';
import { type StoredEmail, shownStatus, statusOf } from '../domain/email.ts';
import { type RequestLimits, rescheduleRequestFor } from '../domain/email-request.ts';
import type { IdempotencyClaim } from '../domain/idempotency.ts';
import type { Change } from '../domain/outcome.ts';
import type { Changed } from '../pipeline/settle.ts';
import type { Creations } from '../store/creations.ts';
import { beginOnce, creationHeaders, finish } from './creations.ts';
import { emailMissing, emailParams, findEmail } from './email-access.ts';
import { acceptedView } from './email-schemas.ts';
import { readClaim } from './idempotency.ts';
import { conflictExamples } from './openapi/problem-examples.ts';
import { refuseOtherIds } from './path-id.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';

type Deps = {
  emails: { read(id: string): Promise<StoredEmail | null>; lastChange(id: string): Promise<string | null> };
  change(email: StoredEmail, asked: Change, changeId?: string): Promise<Changed>;
  limits: Pick<RequestLimits, 'now'>;
  creations: Pick<Creations, 'begin' | 'end' | 'giveUp'>;
  newId(prefix: 'ch'): string;
};

/** The email that a request names, and the key that asks. */
type Target = { readonly id: string; readonly key: ApiKey };

type Accepted = z.input<typeof acceptedView>;

const answers = { 200: acceptedView, ...problemAnswers(400, 404, 409, 413, 415) };

export function changeRoutes(deps: Deps): Routes {
  return (app) => {
    addRescheduling(app, deps);
    addCancellation(app, deps);
    addRetry(app, deps);
  };
}

function addRescheduling(app: App, deps: Deps): void {
  app.route({
    method: 'PATCH',
    url: '/emails/:id',
    config: { scope: 'send' },
    schema: {
      operationId: 'rescheduleEmail',
      summary: 'Reschedule an email',
      description:
        'Changes the time to send, as long as the email is still scheduled. A `ttl` counts from the new time. A time in the past means now.',
      tags: ['emails'],
      params: emailParams,
      body: rescheduleRequestFor(deps.limits),
      response: { ...answers, ...problemAnswers(422) },
      'x-examples': { 409: conflictExamples.reschedule },
    },
    handler: ({ params: { id }, body: { scheduled_at: at, ...ids }, apiKey }) => {
      refuseOtherIds(id, ids);
      return ask(deps, { id, key: apiKey }, { kind: 'rescheduled', at });
    },
  });
}

function addCancellation(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/emails/:id/cancel',
    config: { scope: 'send' },
    schema: {
      operationId: 'cancelEmail',
      summary: 'Cancel an email',
      description:
        'Nothing more is sent to recipients that are still waiting or held (`outcome_unknown`). For a held one, `reason` says that the message may have been handed over. Messages that were already sent are not affected. Takes no body.',
      tags: ['emails'],
      params: emailParams,
      response: answers,
    },
    handler: ({ params: { id }, apiKey }) => ask(deps, { id, key: apiKey }, { kind: 'canceled' }),
  });
}

function addRetry(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/emails/:id/retry',
    config: { scope: 'send' },
    schema: {
      operationId: 'retryEmail',
      summary: 'Retry an email',
      description: [
        'Queues failed, expired and held recipients again, under the same Message-ID and with their full time. An `expires_at` that lies ahead stays, and one that has passed no longer counts. While other recipients of the email still wait, all share the time that those have left. Bounced recipients are queued too if the refusal was not about the recipient, but for example about a blocklist, a policy or your account. Recipients that were sent to, canceled, or refused as unknown are left alone.',
        'Refused (409) once the content was dropped, which happens an hour after the email ended (`RETENTION_CONTENT`), unless the email belongs to a campaign, whose letter is made again. Also refused for a recipient of a canceled campaign, and for one whose email could not be made. Takes no body.',
      ].join('\n\n'),
      tags: ['emails'],
      headers: creationHeaders,
      params: emailParams,
      response: { ...answers, ...problemAnswers(422) },
      'x-examples': { 409: conflictExamples.retry },
    },
    handler: ({ params: { id }, headers, apiKey }, reply) => {
      const claim = readClaim(headers['idempotency-key'], {
        keyId: apiKey.id,
        route: 'POST /emails/:id/retry',
        body: { id },
      });
      const target = { id, key: apiKey };
      return claim === null ? ask(deps, target, { kind: 'retried' }) : retryOnce(deps, target, claim, reply);
    },
  });
}

/** @throws ProblemError 404, or 409 with the current status */
async function ask(deps: Deps, { id, key }: Target, change: Change, changeId?: string): Promise<Accepted> {
  const email = await findEmail(deps.emails.read, id, key);
  const changed = await deps.change(email, change, changeId);
  if (changed.kind === 'gone') throw emailMissing(id);
  if (changed.kind === 'changed') return { object: 'email', id, status: statusOf(changed.decision.state) };
  const status = shownStatus(changed.email);
  const detail = `Email ${id} cannot be ${change.kind}: ${changed.refused}. Its status is ${status}.`;
  throw new ProblemError('conflict', detail, { more: { email_status: status } });
}

/** Once for each key: a repeat gets the answer of the first request. It does not retry recipients that failed again since. */
async function retryOnce(deps: Deps, target: Target, claim: IdempotencyClaim, reply: FastifyReply): Promise<Accepted> {
  const { id, key } = target;
  const fresh = { id: deps.newId('ch'), now: deps.limits.now() };
  const creation = await beginOnce(deps.creations, claim, fresh, reply);
  const { id: changeId, isRepeat, isDone, note } = creation;
  if (isDone) return { object: 'email', id, status: note as Accepted['status'] };
  const statusOfLast = async (): Promise<Accepted['status'] | null> => {
    if ((await deps.emails.lastChange(id)) !== changeId) return null;
    return statusOf((await findEmail(deps.emails.read, id, key)).state);
  };
  const retry = async (): Promise<Accepted['status']> => {
    // The process of the first request may have died after the change was stored.
    const before = isRepeat ? await statusOfLast() : null;
    if (before !== null) return before;
    try {
      return (await ask(deps, target, { kind: 'retried' }, changeId)).status;
    } catch (error) {
      // Of two requests at the same time, one is refused because of the change the other made.
      const meanwhile = error instanceof ProblemError ? await statusOfLast() : null;
      if (meanwhile === null) throw error;
      return meanwhile;
    }
  };
  const { answer: status } = await finish(deps.creations, claim, creation, retry);
  return { object: 'email', id, status };
}
