/** /v1/emails: send one, look at one. */
import { z } from 'zod';
import { formatMailbox } from '../domain/address.ts';
import { type LoadedEmail, mailboxesOf } from '../domain/email.ts';
import { type EmailRequest, emailRequest } from '../domain/email-request.ts';
import { lastEventName, lastEventNames } from '../domain/event.ts';
import { bodyHash, idempotencyScope, readIdempotencyKey } from '../domain/idempotency.ts';
import { isPending, type Recipient, recipientKinds, recipientStatuses, rollUp } from '../domain/recipient.ts';
import type { Accepted } from '../pipeline/accept.ts';
import type { Emails, IdempotencyClaim } from '../store/emails.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

/** Bytes of a request on routes that carry attachments: 25 MB of files are 34 MB in base64. */
const maxSendBytes = 40 * 1024 * 1024;

type Deps = {
  accept(request: EmailRequest, keyId: string, claim: IdempotencyClaim | null): Promise<Accepted>;
  emails: Pick<Emails, 'load'>;
};

const time = z.iso.datetime();
const smtp = z.object({ code: z.int(), enhanced: z.string().nullable(), reply: z.string() });

const recipientView = z
  .object({
    email: z.string(),
    kind: z.enum(recipientKinds),
    status: z.enum(recipientStatuses),
    attempts: z.int(),
    smtp: smtp.nullable(),
    transport: z.string().nullable(),
    next_attempt_at: time.nullable(),
    reason: z.string().nullable(),
  })
  .meta({ id: 'Recipient' });

const emailView = z
  .object({
    object: z.literal('email'),
    id: z.string(),
    from: z.string(),
    to: z.array(z.string()),
    cc: z.array(z.string()),
    bcc: z.array(z.string()),
    reply_to: z.array(z.string()),
    subject: z.string(),
    html: z.string().nullable(),
    text: z.string().nullable(),
    tags: z.array(z.object({ name: z.string(), value: z.string() })),
    message_id: z.string(),
    created_at: time,
    scheduled_at: time.nullable(),
    status: z.enum(recipientStatuses),
    last_event: z.enum(lastEventNames),
    attempts: z.int(),
    recipients: z.array(recipientView),
  })
  .meta({ id: 'Email' });

const accepted = z
  .object({ id: z.string(), object: z.literal('email'), status: z.enum(recipientStatuses) })
  .meta({ id: 'AcceptedEmail' });

export function emailRoutes(deps: Deps): Routes {
  return (app) => {
    app.route({
      method: 'POST',
      url: '/emails',
      bodyLimit: maxSendBytes,
      schema: {
        summary: 'Send an email',
        description:
          'Answers 202 once the email is durably stored. With an Idempotency-Key, a repeat within 24 hours gets the same answer.',
        tags: ['emails'],
        headers: z.looseObject({
          'idempotency-key': z.string().optional().meta({ description: 'Up to 256 printable ASCII characters.' }),
        }),
        body: emailRequest,
        response: {
          202: accepted,
          ...problemAnswers(400, 401, 413, 415, 422, 503),
        },
      },
      /** A key stands for what was sent, so that is kept before the body is parsed into our own types. */
      preValidation: async (request) => {
        request.given = request.body;
      },
      handler: async (request, reply) => {
        const claim = readClaim(request.headers['idempotency-key'], request.apiKey.id, request.given);
        const outcome = await deps.accept(request.body, request.apiKey.id, claim);
        if (outcome.kind === 'key_reused') {
          throw new ProblemError(
            'invalid_idempotent_request',
            'This Idempotency-Key was used with another body in the last 24 hours',
          );
        }
        if (outcome.isReplay) reply.header('idempotent-replayed', 'true');
        return reply.status(202).send({ id: outcome.id, object: 'email', status: 'queued' });
      },
    });

    app.route({
      method: 'GET',
      url: '/emails/:id',
      schema: {
        summary: 'Look at an email',
        description: 'The email with the state of each recipient and the reply of the next hop.',
        tags: ['emails'],
        params: z.object({ id: z.string() }),
        response: { 200: emailView, ...problemAnswers(401, 404, 503) },
      },
      handler: async (request) => {
        const email = await deps.emails.load(request.params.id);
        if (email === null) throw new ProblemError('not_found', `There is no email ${request.params.id}`);
        return viewOf(email);
      },
    });
  };
}

function readClaim(header: string | string[] | undefined, keyId: string, body: unknown): IdempotencyClaim | null {
  if (header === undefined) return null;
  const key = typeof header === 'string' ? readIdempotencyKey(header) : null;
  if (key === null)
    throw new ProblemError('invalid_idempotency_key', 'Idempotency-Key must be 1 to 256 printable ASCII characters');
  return { scope: idempotencyScope(keyId, 'POST /emails', key), bodyHash: bodyHash(body) };
}

function viewOf(email: LoadedEmail): z.input<typeof emailView> {
  const { facts, state, content, handOver } = email;
  const recipients = state.recipients.map((recipient) => recipientViewOf(recipient, handOver !== null));
  return {
    object: 'email',
    id: facts.id,
    from: formatMailbox(facts.from),
    to: mailboxesOf(state, 'to').map(formatMailbox),
    cc: mailboxesOf(state, 'cc').map(formatMailbox),
    bcc: mailboxesOf(state, 'bcc').map(formatMailbox),
    reply_to: facts.replyTo.map(formatMailbox),
    subject: facts.subject,
    html: content?.html ?? null,
    text: content?.text ?? null,
    tags: [...facts.tags],
    message_id: `<${facts.messageId}>`,
    created_at: new Date(facts.createdAt).toISOString(),
    scheduled_at: null,
    status: rollUp(recipients.map((recipient) => recipient.status)),
    last_event: lastEventName(state.lastEvent),
    attempts: Math.max(0, ...state.recipients.map((recipient) => recipient.attempts)),
    recipients,
  };
}

function recipientViewOf(recipient: Recipient, isHandedOver: boolean): z.input<typeof recipientView> {
  const { address, kind, status, attempts, smtp: reply, transport, nextAttemptAt, reason } = recipient;
  return {
    email: address,
    kind,
    status: isHandedOver && isPending(status) ? 'sending' : status,
    attempts,
    smtp: reply,
    transport,
    next_attempt_at: nextAttemptAt === null ? null : new Date(nextAttemptAt).toISOString(),
    reason,
  };
}
