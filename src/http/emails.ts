/** /v1/emails: send an email, read one, list them. */
import { z } from 'zod';
import { parseMailbox } from '../domain/address.ts';
import type { ApiKey } from '../domain/api-key.ts';
import type { Campaign } from '../domain/campaign.ts';
import { type LoadedEmail, type StoredEmail, statusAt } from '../domain/email.ts';
import { type AskedEmail, askedEmailFor, type RequestLimits } from '../domain/email-request.ts';
import { campaignIdForm, emailIdForm, timeOfId } from '../domain/id.ts';
import { lanes, usualLane } from '../domain/lane.ts';
import { recipientStatuses } from '../domain/recipient.ts';
import { instant, sendTimeIn } from '../domain/send-time.ts';
import type { AcceptedAll, Asked } from '../pipeline/accept.ts';
import type { Pressure } from '../pipeline/check-back-pressure.ts';
import type { CampaignQuery } from '../pipeline/find-in-campaign.ts';
import type { Rendered } from '../pipeline/render.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { IdempotencyClaim } from '../store/email-create.ts';
import type { IndexQuery, Term } from '../store/email-index.ts';
import { refusalOfAny } from './back-pressure.ts';
import { maySee } from './campaign-access.ts';
import { emailParams, excessOf, findEmail, idempotencyHeader, keyReused, readClaim } from './email-access.ts';
import { acceptedView, emailSummaryView, emailView } from './email-schemas.ts';
import { summaryOf, viewOf } from './email-view.ts';
import { emailExamples, emailListExamples, sendExamples } from './openapi/email-examples.ts';
import { pageOf } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

/** Bytes of a request on routes that take attachments: 25 MB of files are 34 MB in base64. */
export const maxSendBytes = 40 * 1024 * 1024;

export type SendDeps = {
  /** The emails with their final content, rendered from a template where one is named. An entry of null stays null. */
  render(asked: readonly (AskedEmail | null)[]): Promise<(Rendered | null)[]>;
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

type Deps = SendDeps & {
  emails: {
    load(id: string): Promise<LoadedEmail | null>;
    find(query: IndexQuery): Promise<StoredEmail[] | null>;
  };
  campaigns: Pick<Campaigns, 'get'>;
  findInCampaign(campaign: Campaign, query: CampaignQuery): Promise<StoredEmail[] | null>;
};

const emailId = z.string().regex(emailIdForm, 'is not the id of an email');
const [oldest, newest] = [0, Number.MAX_SAFE_INTEGER];

/** Strict: an unknown filter must not look like one that matches everything. */
const listQuery = z
  .strictObject({
    limit: z.coerce.number().int().min(1).max(100).default(20).meta({ description: 'The maximum number to list.' }),
    after: emailId.optional().meta({ description: 'The last id of the page you have, to get older ones.' }),
    before: emailId.optional().meta({
      description:
        'The first id of the page you have, to get the newer ones before it. Do not follow new mail with it: new mail can be stored behind an id you already have. Use `GET /v1/events` for that.',
    }),
    status: z.enum(recipientStatuses).exclude(['sending']).optional().meta({
      description:
        'Only emails with this status. An email that is being sent at this moment is found under `queued`, `scheduled` or `deferred`.',
    }),
    to: z
      .string()
      .optional()
      .meta({
        description: 'Only emails with this recipient in `to`, `cc` or `bcc`. Upper and lower case are the same.',
        examples: ['ada@example.com'],
      }),
    tag: z
      .string()
      .regex(/^[\w-]+:[\w-]*$/, 'must be name:value')
      .optional()
      .meta({ description: 'Only emails with this tag, as `name:value`.', examples: ['category:receipt'] }),
    external_id: z
      .string()
      .optional()
      .meta({ description: 'Only emails with this `external_id`.', examples: ['order-1234'] }),
    campaign_id: z
      .string()
      .optional()
      .meta({ description: 'Only emails of this campaign. Can be combined with `status`, but with no other filter.' }),
    created_after: instant
      .optional()
      .meta({ description: 'Only emails accepted after this time: ISO 8601 with an offset.' }),
    created_before: instant
      .optional()
      .meta({ description: 'Only emails accepted before this time: ISO 8601 with an offset.' }),
  })
  .refine(({ after, before }) => after === undefined || before === undefined, {
    path: ['before'],
    message: 'cannot be combined with after',
  })
  .superRefine((query, context) => {
    if (query.campaign_id === undefined) return;
    for (const name of ['to', 'tag', 'external_id', 'created_after', 'created_before'] as const)
      if (query[name] !== undefined)
        context.addIssue({ code: 'custom', path: [name], message: 'cannot be combined with campaign_id' });
  });

type ListQuery = z.output<typeof listQuery>;

const emailPage = pageOf(emailSummaryView).meta({ description: 'The matching emails, newest first.' });

export function emailRoutes(deps: Deps): Routes {
  async function findOfCampaign(id: string, { status, limit, ...query }: ListQuery, key: ApiKey) {
    const campaign = campaignIdForm.test(id) ? await deps.campaigns.get(id) : null;
    if (campaign === null || !maySee(key, campaign.head)) return [];
    return deps.findInCampaign(campaign, { status: status ?? null, cursor: cursorOf(query), limit: limit + 1 });
  }

  return (app) => {
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
        const claim = readClaim(request.headers['idempotency-key'], apiKey.id, 'POST /emails', request.given);
        const early = validationError ?? refusalOfAny({ ...deps, key: apiKey }, [body.lane ?? usualLane]);
        const [rendered = null] = early ? [] : await deps.render([body]);
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

    app.route({
      method: 'GET',
      url: '/emails',
      config: { scope: 'read' },
      schema: {
        operationId: 'listEmails',
        summary: 'List emails',
        description: [
          'Newest first. An email is listed if it matches all filters.',
          'Recipients of a campaign are found with `campaign_id`. Without it, `to`, `tag` and `status` find only campaign recipients that became emails of their own, for example after a deferral. `GET /v1/campaigns/{id}/recipients` lists all of them.',
          'A key limited to domains or lanes sees the emails it could have sent.',
        ].join('\n\n'),
        tags: ['emails'],
        querystring: listQuery,
        response: { 200: emailPage, ...problemAnswers(422) },
        'x-examples': { 200: emailListExamples },
      },
      handler: async ({ query, apiKey }) => {
        const { campaign_id } = query;
        const found =
          campaign_id === undefined
            ? await deps.emails.find(toIndexQuery(query, apiKey))
            : await findOfCampaign(campaign_id, query, apiKey);
        if (found === null)
          throw ProblemError.of('validation_error', [campaign_id === undefined ? tooWide : tooSeldom(campaign_id)]);
        // The page was read with one email more than asked for. That one lies at the end away from the cursor.
        const has_more = found.length > query.limit;
        const page = query.before === undefined ? found.slice(0, query.limit) : found.slice(-query.limit);
        return { object: 'list' as const, has_more, data: page.map(summaryOf) };
      },
    });

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
  };
}

/** Reads `scheduled_at` from the body as sent: the parsed body is missing when a repeat would be refused now. */
function scheduleIn(given: unknown, then: number): { scheduled_at?: number } {
  const at = sendTimeIn((given as { readonly scheduled_at?: unknown } | null)?.scheduled_at, then);
  return at === null ? {} : { scheduled_at: at };
}

const tooWide = {
  pointer: '#/query/created_after',
  code: 'too_wide',
  message:
    'is required, or must be more recent: these filters rarely match together, so too many emails would have to be searched',
};

/** A more recent `created_after` would not help here. */
function tooSeldom(campaignId: string) {
  const message = `matches too few of the recipients that became emails of their own: use GET /v1/campaigns/${campaignId}/recipients?status= instead`;
  return { pointer: '#/query/status', code: 'too_wide', message };
}

function refusalOf(apiKey: ApiKey, rendered: Rendered | null): ProblemError | null {
  const excess = rendered && excessOf(apiKey, rendered);
  return excess && ProblemError.of(excess.problem, excess.faults);
}

function toIndexQuery(query: ListQuery, key: ApiKey): IndexQuery {
  const asked: (Term | null)[] = [
    query.status === undefined ? null : ['status', query.status],
    query.to === undefined ? null : ['to', addressIn(query.to)],
    query.tag === undefined ? null : tagIn(query.tag),
    query.external_id === undefined ? null : ['external_id', query.external_id],
  ];
  const groups: Term[][] = asked.filter((term) => term !== null).map((term) => [term]);
  if (key.fromDomains !== null) groups.push(key.fromDomains.map((domain): Term => ['from_domain', domain]));
  if (key.lanes !== null || groups.length === 0) groups.push((key.lanes ?? lanes).map((lane): Term => ['lane', lane]));
  const { created_after, created_before, limit } = query;
  return {
    groups,
    cursor: cursorOf(query),
    createdFrom: created_after === undefined ? oldest : created_after + 1,
    createdTo: created_before === undefined ? newest : created_before - 1,
    limit: limit + 1,
  };
}

function cursorOf({ after, before }: Pick<ListQuery, 'after' | 'before'>): IndexQuery['cursor'] {
  if (before !== undefined) return { side: 'newer', id: before };
  return after === undefined ? null : { side: 'older', id: after };
}

/** The address as it is stored. Text that is not an address is searched for unchanged, and not found. */
function addressIn(text: string): string {
  const parsed = parseMailbox(text);
  return 'fault' in parsed ? text : parsed.address;
}

function tagIn(text: string): Term {
  const colon = text.indexOf(':');
  return ['tag', text.slice(0, colon), text.slice(colon + 1)];
}
