/** /v1/emails: send an email, read one. `email-list.ts` lists them. */
import { z } from 'zod';
import type { ApiKey } from '../domain/api-key.ts';
import { type LoadedEmail, statusAt } from '../domain/email.ts';
import { type AskedEmail, askedEmailFor, type RequestLimits } from '../domain/email-request.ts';
import { timeOfId } from '../domain/id.ts';
import type { IdempotencyClaim } from '../domain/idempotency.ts';
import { lanes, usualLane } from '../domain/lane.ts';
import { sendTimeIn } from '../domain/send-time.ts';
import type { AcceptedAll, Asked } from '../pipeline/accept.ts';
import type { Pressure } from '../pipeline/check-back-pressure.ts';
import type { Rendered } from '../pipeline/render.ts';
import { refusalOfAny } from './back-pressure.ts';
import { takeRoom } from './bodies.ts';
import { emailParams, findEmail, refusalOfEmail } from './email-access.ts';
import { addEmailList, type ListDeps } from './email-list.ts';
import { acceptedView, emailView } from './email-schemas.ts';
import { viewOf } from './email-view.ts';
import { idempotencyHeader, keyReused, readClaim } from './idempotency.ts';
import { emailExamples, sendExamples } from './openapi/email-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';

/** Bytes of a request on routes that take attachments: 25 MB of files are 34 MB in base64. */
export const maxSendBytes = 40 * 1024 * 1024;

export type SendDeps = {
  /** The emails with their final content, rendered from a template where one is named. An entry of null stays null. */
  render(asked: readonly (AskedEmail | null)[], takeRoom: (characters: number) => void): Promise<(Rendered | null)[]>;
  accept(
    asked: readonly (Asked | null)[],
    keyId: string,
    options: { batchClaim: IdempotencyClaim | null; isStrict: boolean; requestId: string },
  ): Promise<AcceptedAll>;
  /** The earlier answer under this claim, or that it belongs to another body; null when the key is free. */
  recall(claim: IdempotencyClaim): Promise<AcceptedAll | null>;
  limits: RequestLimits;
  readonly pressure: Readonly<Pressure>;
};

type Deps = SendDeps & ListDeps & { emails: { load(id: string): Promise<LoadedEmail | null> } };

export function emailRoutes(deps: Deps): Routes {
  return (app) => {
    addSending(app, deps);
    addEmailList(app, deps);
    addReading(app, deps);
  };
}

function addSending(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/emails',
    config: { scope: 'send', sheds: lanes },
    bodyLimit: maxSendBytes,
    // A repeat gets the answer of the first request even if its body would be refused now.
    attachValidation: true,
    schema: {
      operationId: 'sendEmail',
      summary: 'Send an email',
      description: [
        'Answers 202 once the email is stored durably; workers then send it. To learn the result, use `GET /v1/emails/{id}` or a webhook.',
        'With an `Idempotency-Key`, you can repeat the request as often as you like without sending twice.',
      ].join('\n\n'),
      tags: ['emails'],
      headers: z.looseObject({ 'idempotency-key': idempotencyHeader }),
      body: askedEmailFor(deps.limits),
      response: { 202: acceptedView, ...problemAnswers(400, 413, 415, 422) },
      'x-examples': { body: sendExamples },
    },
    /** The Idempotency-Key belongs to the body as sent, so that is kept before the body is parsed into our own types. */
    preValidation: async (request) => {
      request.given = request.body;
    },
    handler: async (request, reply) => {
      const { apiKey, body, validationError } = request;
      const claim = readClaim(request.headers['idempotency-key'], {
        keyId: apiKey.id,
        route: 'POST /emails',
        body: request.given,
      });
      const early = validationError ?? refusalOfAny({ ...deps, key: apiKey }, [body.lane ?? usualLane]);
      const [rendered = null] = early ? [] : await deps.render([body], (made) => takeRoom(request, made));
      const refused = early ?? refusalOf(apiKey, rendered);
      const accepted =
        rendered !== null && 'request' in rendered && !refused
          ? await deps.accept([{ ...rendered, claim }], apiKey.id, {
              batchClaim: null,
              isStrict: true,
              requestId: request.id,
            })
          : claim && (await deps.recall(claim));
      if (refused && accepted?.kind !== 'answered') throw refused;
      const answer = accepted?.kind === 'answered' ? accepted.answers[0] : undefined;
      if (answer?.kind !== 'accepted') throw keyReused();
      const { id, isReplay } = answer;
      if (isReplay) reply.header('idempotent-replayed', 'true');
      // The status of the first answer: it follows from the same body and the time of the id.
      const then = timeOfId(id);
      return reply.status(202).send({ id, object: 'email', status: statusAt(scheduleIn(request.given, then), then) });
    },
  });
}

function addReading(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/emails/:id',
    config: { scope: 'read' },
    schema: {
      operationId: 'getEmail',
      summary: 'Get an email',
      description: 'The email with the status of each recipient and the last reply of the next hop.',
      tags: ['emails'],
      params: emailParams,
      response: { 200: emailView, ...problemAnswers(400, 404) },
      'x-examples': { 200: emailExamples },
    },
    handler: async ({ params, apiKey }) => viewOf(await findEmail(deps.emails.load, params.id, apiKey)),
  });
}

/** Reads `scheduled_at` from the body as sent: the parsed body is missing when a repeat would be refused now. */
function scheduleIn(given: unknown, then: number): { scheduled_at?: number } {
  const at = sendTimeIn((given as { readonly scheduled_at?: unknown } | null)?.scheduled_at, then);
  return at === null ? {} : { scheduled_at: at };
}

function refusalOf(apiKey: ApiKey, rendered: Rendered | null): ProblemError | null {
  const refusal = rendered && refusalOfEmail(apiKey, rendered);
  return refusal && ProblemError.of(refusal.problem, refusal.faults);
}
