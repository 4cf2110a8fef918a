/** POST /v1/emails/batch: up to 1,000 emails in one atomic step, either all of them or the valid ones. */
import { z } from 'zod';
import type { ApiKey } from '../domain/api-key.ts';
import { batchSchemasFor, maxBatchIssues } from '../domain/batch.ts';
import { knownOf } from '../domain/idempotency.ts';
import { lanes } from '../domain/lane.ts';
import type { Fault } from '../domain/problem.ts';
import type { AcceptedAll } from '../pipeline/accept.ts';
import type { IdempotencyClaim } from '../store/email-create.ts';
import type { Templating } from '../templating/templating.ts';
import { refusalOfAny } from './back-pressure.ts';
import { askedIn, type Entry, lanesOf, readEntries } from './batch-entries.ts';
import { judge, type Outcome, outcomeOf, refusalIn, refusalOf, refuseRepeats, type Slot } from './batch-slots.ts';
import { takeRoom } from './bodies.ts';
import type { Refusal } from './email-access.ts';
import { maxSendBytes, type SendDeps } from './emails.ts';
import { idempotencyHeader, keyReused, readClaim } from './idempotency.ts';
import { acceptedBatchExamples, batchExamples } from './openapi/batch-examples.ts';
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

export function batchRoutes({ render, accept, recall, limits, pressure, templating: { yieldTurn } }: Deps): Routes {
  const schemas = batchSchemasFor(limits);

  /** The earlier answer to the same body; null for none. */
  async function answered(claim: IdempotencyClaim | null): Promise<Recalled | null> {
    const prior = claim && (await recall(claim));
    return prior?.kind === 'answered' ? prior : null;
  }

  /** Whether nothing new would be stored of it: it was accepted before, under a key for the whole or one for each email that may be stored. */
  async function isRepeat(
    whole: IdempotencyClaim | null,
    entries: readonly Entry[],
    apiKey: ApiKey,
    roomFor: (made: number) => void,
  ): Promise<boolean> {
    if (whole !== null) return (await answered(whole)) !== null;
    const valid = entries.filter((entry) => askedIn(entry) !== null);
    // An email whose key belongs to another body is refused.
    const priors = await Promise.all(valid.map(({ claim }) => claim && recall(claim)));
    const free = valid.filter((_, index) => priors[index] === null);
    // Rendering is for the rest of a repeat alone: a batch that is all new is refused without.
    if (free.length === 0 || free.length === valid.length) return free.length === 0;
    const rendered = await render(free.map(askedIn), roomFor);
    return free.every(({ item }, index) => refusalOf(item, rendered[index] ?? null, apiKey) !== null);
  }

  /** Adds the answer that a refused email got earlier: in its batch, or under its own key. */
  async function withPrior(slot: Slot, batch: Recalled | null): Promise<Slot> {
    if (slot.refusal === null) return slot;
    const inBatch = batch?.answers[slot.index] ?? null;
    if (inBatch !== null) return { ...slot, prior: inBatch };
    return { ...slot, prior: (await answered(slot.claim))?.answers[0] ?? null };
  }

  /** With the answers that refused emails got earlier, and the answer to the whole when a refused email made us look for it. */
  async function judgeAll(
    batchClaim: IdempotencyClaim | null,
    entries: readonly Entry[],
    apiKey: ApiKey,
    roomFor: (made: number) => void,
  ): Promise<{ slots: Slot[]; recalled: Recalled | null }> {
    const judged = judge(entries, await render(entries.map(askedIn), roomFor), apiKey);
    const isDoubtful = judged.some(({ refusal }) => refusal !== null);
    const recalled = isDoubtful ? await answered(batchClaim) : null;
    const slots = refuseRepeats(await Promise.all(judged.map((slot) => withPrior(slot, recalled))));
    return { slots, recalled };
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
        const { entries, bytes } = await readEntries({ schemas, yieldTurn }, body, { apiKey, known, maxIssues });
        const roomFor = (made: number) => takeRoom(request, bytes + made);
        roomFor(0);
        // A repeat gets the answer of the first request even if it would be refused now.
        const passed = refusalOfAny({ pressure, key: apiKey }, lanesOf(entries));
        if (passed !== null && !(await isRepeat(batchClaim, entries, apiKey, roomFor))) throw passed;
        const { slots, recalled } = await judgeAll(batchClaim, entries, apiKey, roomFor);
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
  };
}

type Recalled = Extract<AcceptedAll, { kind: 'answered' }>;

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
