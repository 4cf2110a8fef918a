/** POST /v1/emails/batch: up to 1,000 emails in one atomic step, either all of them or the valid ones. */
import { z } from 'zod';
import { batchSchemasFor, maxBatchIssues } from '../domain/batch.ts';
import { knownOf } from '../domain/idempotency.ts';
import { lanes } from '../domain/lane.ts';
import type { Fault } from '../domain/problem.ts';
import type { AcceptedAll } from '../pipeline/accept.ts';
import type { Templating } from '../templating/templating.ts';
import { refusalOfAny } from './back-pressure.ts';
import { lanesOf, readEntries } from './batch-entries.ts';
import { isRepeat, judgeAll } from './batch-judging.ts';
import { type Outcome, outcomeOf, refusalIn } from './batch-slots.ts';
import { takeRoom } from './bodies.ts';
import type { Refusal } from './email-access.ts';
import { maxSendBytes, type SendDeps } from './emails.ts';
import { idempotencyHeader, keyReused, readClaim } from './idempotency.ts';
import { acceptedBatchExamples, batchExamples } from './openapi/batch-examples.ts';
import { ProblemError, problemAnswers, sentenceOf } from './problems.ts';
import type { App, Routes } from './server.ts';

const modes = ['strict', 'permissive'] as const;

const batchView = z
  .object({
    data: z
      .array(z.object({ id: z.string().meta({ description: 'The id of the email, `em_…`.' }) }))
      .meta({ description: 'The accepted emails, in the order of the request.' }),
    errors: z
      .array(
        z.object({
          index: z.int().meta({ description: 'Its index in the request, from 0.' }),
          message: z.string().meta({ description: 'All its errors, in words.' }),
        }),
      )
      .optional()
      .meta({ description: 'With `permissive` only: the emails that were not accepted.' }),
  })
  .meta({ id: 'AcceptedBatch', description: 'The emails that were accepted and are stored durably.' });

type Deps = SendDeps & { templating: Pick<Templating, 'yieldTurn'> };

export function batchRoutes(deps: Deps): Routes {
  return (app) => addBatch(app, deps);
}

function addBatch(app: App, deps: Deps): void {
  const { accept, limits, pressure, templating } = deps;
  const schemas = batchSchemasFor(limits);
  const reading = { schemas, yieldTurn: templating.yieldTurn };
  app.route({
    method: 'POST',
    url: '/emails/batch',
    config: { scope: 'send', sheds: lanes },
    bodyLimit: maxSendBytes,
    schema: {
      operationId: 'sendBatch',
      summary: 'Send up to 1,000 emails',
      description:
        'Takes a list of emails, or a `base` with their common fields and `messages` with the fields of each. All accepted emails are stored in one atomic step. Every field of an email may be used, also attachments and `scheduled_at`. With its base written out, a batch may have 40 MB, where letters and files that emails share count once.',
      tags: ['emails'],
      headers: z.looseObject({
        'idempotency-key': idempotencyHeader,
        'x-batch-validation': z.enum(modes).default('strict').meta({
          description:
            'What happens to the others if an email is not valid. `strict`: none is accepted, and every error is named. `permissive`: the others are accepted, and `errors` names the invalid ones.',
        }),
      }),
      body: schemas.body,
      response: { 202: batchView, ...problemAnswers(400, 413, 415, 422) },
      'x-examples': { body: batchExamples, 202: acceptedBatchExamples },
    },
    handler: async (request, reply) => {
      const { apiKey, body } = request;
      const isStrict = request.headers['x-batch-validation'] === 'strict';
      const known = knownOf(body);
      const header = request.headers['idempotency-key'];
      const batchClaim = readClaim(header, { keyId: apiKey.id, route: 'POST /emails/batch', body, known });
      const maxIssues = isStrict ? maxBatchIssues : Number.POSITIVE_INFINITY;
      const { entries, bytes } = await readEntries(reading, body, { apiKey, known, maxIssues });
      const roomFor = (made: number) => takeRoom(request, bytes + made);
      roomFor(0);
      const batch = { claim: batchClaim, entries, apiKey, roomFor };
      // A repeat gets the answer of the first request even if it would be refused now.
      const passed = refusalOfAny({ pressure, key: apiKey }, lanesOf(entries));
      if (passed !== null && !(await isRepeat(deps, batch))) throw passed;
      const { slots, recalled } = await judgeAll(deps, batch);
      if (isStrict) throwFirst(slots.map(({ refusal, prior }) => (prior === null ? refusal : null)));

      const asked = slots.map((slot) => slot.asked);
      const isAsked = recalled === null && asked.some((one) => one !== null);
      const accepted = isAsked
        ? await accept(asked, apiKey.id, { batchClaim, isStrict, requestId: request.id })
        : (recalled ?? noneAsked);
      if (accepted.kind === 'key_reused') throw keyReused();
      const outcomes = slots.map((slot) => outcomeOf(slot, accepted.answers[slot.index] ?? slot.prior));
      if (isStrict) throwFirst(outcomes.map(refusalIn));
      if (accepted.isReplay) reply.header('idempotent-replayed', 'true');
      return reply
        .status(202)
        .send(isStrict ? { data: idsIn(outcomes) } : { data: idsIn(outcomes), errors: errorsIn(outcomes) });
    },
  });
}

/** A batch without a single valid email claims no key. */
const noneAsked: AcceptedAll = { kind: 'answered', answers: [], isReplay: false };

/** Limit of faults shown for one email in a permissive answer: each of a thousand emails may have a thousand. */
const maxFaultsTold = 20;

function idsIn(outcomes: readonly Outcome[]): { id: string }[] {
  return outcomes.flatMap((outcome) => ('id' in outcome ? [{ id: outcome.id }] : []));
}

function errorsIn(outcomes: readonly Outcome[]): { index: number; message: string }[] {
  return outcomes.flatMap((outcome, index) => ('id' in outcome ? [] : [{ index, message: tell(outcome.faults) }]));
}

function tell(faults: readonly Fault[]): string {
  const told = faults.slice(0, maxFaultsTold).map(sentenceOf);
  const rest = faults.length - told.length;
  return [...told, ...(rest === 0 ? [] : [`and ${rest} more`])].join('; ');
}

/** Throws one problem with the faults of all refusals, under the problem name of the first. */
function throwFirst(refusals: readonly (Refusal | null)[]): void {
  const all = refusals.filter((refusal) => refusal !== null);
  const [first] = all;
  if (first === undefined) return;
  const distinct = new Map(
    all.flatMap(({ faults }) => faults).map((fault) => [`${fault.pointer} ${fault.message}`, fault]),
  );
  throw ProblemError.of(first.problem, [...distinct.values()]);
}
