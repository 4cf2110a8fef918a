/** POST /v1/emails/batch: up to 1,000 emails in one atomic step, either all of them or the valid ones. */
import { z } from 'zod';
import type { ApiKey } from '../domain/api-key.ts';
import { type Batch, type BatchItem, batchSchemasFor, maxBatchIssues, readBatch } from '../domain/batch.ts';
import type { KnownFiles } from '../domain/idempotency.ts';
import { type Lane, lanes, usualLane } from '../domain/lane.ts';
import type { Fault, ProblemName } from '../domain/problem.ts';
import type { Accepted, AcceptedAll, Asked, Recalled } from '../pipeline/accept.ts';
import type { Rendered } from '../pipeline/render.ts';
import type { IdempotencyClaim } from '../store/email-create.ts';
import type { Templating } from '../templating/templating.ts';
import { refusalOfAny } from './back-pressure.ts';
import { claimOf, excessOf, idempotencyHeader, keyReused, readClaim } from './email-access.ts';
import { maxSendBytes, type SendDeps } from './emails.ts';
import { faultsOf, wording } from './faults.ts';
import { acceptedBatchExamples, batchExamples } from './openapi/batch-examples.ts';
import { toPointer } from './pointer.ts';
import { ProblemError, problemAnswers, sentenceOf } from './problems.ts';
import type { Routes } from './server.ts';

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

export function batchRoutes({ render, accept, recall, limits, pressure, templating }: Deps): Routes {
  const schemas = batchSchemasFor(limits);

  /** Reading 1,000 messages may take a second, so other work gets turns in between. */
  async function readInTurns(reading: Generator<undefined, Batch>): Promise<Batch> {
    for (;;) {
      await templating.yieldTurn();
      const step = reading.next();
      if (step.done) return step.value;
    }
  }

  /** The answer an email got earlier: in its batch, or under its own key. */
  async function priorOf(index: number, claim: IdempotencyClaim | null, batch: Recalled | null) {
    const withBatch = batch?.answers[index] ?? null;
    if (withBatch !== null || claim === null) return withBatch;
    return (await recall(claim))?.answers[0] ?? null;
  }

  /** Whether all of it was accepted before, under a key for the whole or one for each email. */
  async function isRepeat(whole: IdempotencyClaim | null, claims: readonly (IdempotencyClaim | null)[]) {
    const asked = whole === null ? claims : [whole];
    const priors = await Promise.all(asked.map((claim) => claim && recall(claim)));
    return priors.every((prior) => prior !== null);
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/emails/batch',
      config: { scope: 'send', sheds: lanes },
      bodyLimit: maxSendBytes,
      schema: {
        operationId: 'sendBatch',
        summary: 'Send up to 1,000 emails',
        description:
          'Takes a list of emails, or a `base` with their common fields and `messages` with the fields of each. All accepted emails are stored in one atomic step. Every field of an email may be used, also attachments and `scheduled_at`.',
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
        const known: KnownFiles = new Map();
        const header = request.headers['idempotency-key'];
        const batchClaim = readClaim(header, apiKey.id, 'POST /emails/batch', body, known);
        const maxIssues = isStrict ? maxBatchIssues : Number.POSITIVE_INFINITY;
        const batch = await readInTurns(readBatch(body, schemas, { wording, maxIssues }));
        if ('issues' in batch) throw ProblemError.of('validation_error', faultsOf(batch.issues));
        // A repeat gets the answer of the first request even if it would be refused now.
        const passed = refusalOfAny({ pressure, key: apiKey }, lanesOf(batch.items));
        const claims = batch.items.map(({ idempotencyKey, given }) =>
          idempotencyKey === null ? null : claimOf(idempotencyKey, apiKey.id, 'POST /emails', given, known),
        );
        if (passed !== null && !(await isRepeat(batchClaim, claims))) throw passed;
        const rendered = await render(batch.items.map(({ result }) => ('issues' in result ? null : result.request)));
        const refusals = refuseRepeats(
          batch.items,
          batch.items.map((item, index) => refusalOf(item, rendered[index] ?? null, apiKey)),
        );
        const isDoubtful = refusals.some((refusal) => refusal !== null);
        const recalled = isDoubtful && batchClaim !== null ? await recall(batchClaim) : null;
        const priors = await Promise.all(
          refusals.map((refusal, index) => priorOf(index, refusal === null ? null : (claims[index] ?? null), recalled)),
        );
        if (isStrict) throwFirst(refusals.filter((_, index) => priors[index] === null));

        const asked = rendered.map((email, index): Asked | null => {
          if (refusals[index] !== null || email === null || 'faults' in email) return null;
          return { request: email.request, claim: claims[index] ?? null };
        });
        const isAsked = recalled === null && asked.some((one) => one !== null);
        const accepted = isAsked
          ? await accept(asked, apiKey.id, { batchClaim, isStrict, requestId: request.id })
          : (recalled ?? noneAsked);
        if (accepted.kind === 'key_reused') throw keyReused();
        const outcomes = batch.items.map((item, index) =>
          outcomeOf(item, refusals[index] ?? null, accepted.answers[index] ?? priors[index] ?? null),
        );
        if (isStrict) throwFirst(outcomes.map(refusalIn));
        if (accepted.isReplay) reply.header('idempotent-replayed', 'true');
        const data = outcomes.flatMap((outcome) => ('id' in outcome ? [{ id: outcome.id }] : []));
        if (isStrict) return reply.status(202).send({ data });
        const errors = outcomes.flatMap((outcome, index) =>
          'id' in outcome ? [] : [{ index, message: tell(outcome.faults) }],
        );
        return reply.status(202).send({ data, errors });
      },
    });
  };
}

function lanesOf(items: readonly BatchItem[]): Lane[] {
  return items.flatMap(({ result }) => ('issues' in result ? [] : (result.request.lane ?? usualLane)));
}

type Refusal = { readonly problem: ProblemName; readonly faults: readonly Fault[] };
type ItemOutcome = { readonly id: string } | Refusal;

function refusalOf({ path, result }: BatchItem, rendered: Rendered | null, apiKey: ApiKey): Refusal | null {
  if ('issues' in result) return { problem: 'validation_error', faults: faultsOf(result.issues) };
  return rendered && excessOf(apiKey, rendered, toPointer(path));
}

/** Two emails under one key in one batch can only be a mistake. One that is refused for another reason has no part in its key. */
function refuseRepeats(items: readonly BatchItem[], refusals: readonly (Refusal | null)[]): (Refusal | null)[] {
  const seen = new Set<string>();
  return items.map(({ path, idempotencyKey: key }, index) => {
    const refusal = refusals[index] ?? null;
    if (key === null) return refusal;
    if (seen.has(key)) return withRepeat(refusal, toPointer([...path, 'idempotency_key']));
    if (refusal === null) seen.add(key);
    return refusal;
  });
}

function withRepeat(refusal: Refusal | null, pointer: string): Refusal {
  const fault = { pointer, code: 'custom', message: 'stands at an earlier email of this batch' };
  return { problem: refusal?.problem ?? 'validation_error', faults: [...(refusal?.faults ?? []), fault] };
}

/** A batch without a single valid email claims no key. */
const noneAsked: AcceptedAll = { kind: 'answered', answers: [], isReplay: false };

/** The outcome for one email: accepted, or refused by us or by `accept`. */
function outcomeOf(item: BatchItem, refusal: Refusal | null, answer: Accepted | null): ItemOutcome {
  if (answer?.kind === 'accepted') return { id: answer.id };
  if (refusal !== null) return refusal;
  const fault =
    item.idempotencyKey === null
      ? { path: item.path, message: 'was refused when this Idempotency-Key was first used' }
      : {
          path: [...item.path, 'idempotency_key'],
          message: 'this idempotency_key was used with another body in the last 24 hours',
        };
  const faults = [{ pointer: toPointer(fault.path), code: 'key_reused', message: fault.message }];
  return { problem: 'invalid_idempotent_request', faults };
}

/** Limit of faults shown for one email in a permissive answer: each of a thousand emails may have a thousand. */
const maxFaultsTold = 20;

function tell(faults: readonly Fault[]): string {
  const told = faults.slice(0, maxFaultsTold).map(sentenceOf);
  const rest = faults.length - told.length;
  return [...told, ...(rest === 0 ? [] : [`and ${rest} more`])].join('; ');
}

function refusalIn(outcome: ItemOutcome): Refusal | null {
  return 'id' in outcome ? null : outcome;
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
