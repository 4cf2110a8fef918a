/** GET /v1/campaigns/:id/recipients: the recipients of a campaign and the outcome of each, in pages or whole. */
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Campaign } from '../domain/campaign.ts';
import { emailIdForm, placeIn } from '../domain/id.ts';
import { isoOrNull } from '../domain/iso-time.ts';
import { recipientStatuses } from '../domain/recipient.ts';
import type { ListedRecipient, ListedStatus } from '../pipeline/list-recipients.ts';
import type { Campaigns } from '../store/campaigns.ts';
import { objectField, status, time } from './answer-fields.ts';
import { campaignParams, findCampaign } from './campaign-access.ts';
import { csvHeader, csvLine } from './csv.ts';
import { smtpView } from './email-schemas.ts';
import { campaignExamples, exampleRecipient } from './openapi/campaign-examples.ts';
import { limitField, pageOf } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import { lineTypes } from './records.ts';
import type { Routes } from './server.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'get'>;
  listRecipients(campaign: Campaign, from: number, status: ListedStatus | null): AsyncGenerator<ListedRecipient[]>;
};

const listQuery = z
  .strictObject({
    status: z
      .enum(['pending', ...recipientStatuses])
      .optional()
      .meta({ description: 'Only recipients with this status; `pending` means any status that is not final.' }),
    limit: limitField,
    after: z
      .string()
      .regex(emailIdForm, 'is not the id of an email')
      .optional()
      .meta({ description: 'The last `email_id` of the page you have, to get the next page.' }),
    format: z.enum(['ndjson', 'csv']).optional().meta({
      description:
        'All recipients in one answer of any length: one JSON object per line, or CSV. `limit` is ignored then.',
    }),
  })
  .meta({ description: 'Which recipients to list.' });

const recipientView = z
  .object({
    object: objectField('campaign_recipient'),
    email_id: z.string().meta({ description: 'The id of its email, `em_…`. `GET /v1/emails/{id}` shows more.' }),
    email: z.string().meta({ description: 'The address.' }),
    name: z.string().nullable().meta({ description: 'The name to show with it.' }),
    status: status.nullable().meta({ description: 'Its status; null once the record of its email was removed.' }),
    smtp: smtpView.nullable().meta({ description: 'The last reply of the next hop.' }),
    transport: z.string().nullable().meta({ description: 'The transport that was used last.' }),
    attempts: z.int().meta({ description: 'Attempts so far.' }),
    reason: z.string().nullable().meta({ description: 'The reason for the status, if no reply explains it.' }),
    at: time.nullable().meta({
      description:
        'When this status was reached. Null while it is pending, and for a recipient that was deferred or tried again as an email of its own: see the events of that email.',
    }),
  })
  .meta({ id: 'CampaignRecipient', description: 'A recipient of a campaign.', examples: [exampleRecipient] });

const page = pageOf(recipientView)
  .extend({
    data: z
      .array(recipientView)
      .meta({ description: 'The recipients of this page, in the order in which they were added.' }),
  })
  .meta({
    id: 'CampaignRecipientPage',
    description: 'The matching recipients, in the order in which they were added.',
    examples: [{ object: 'list', has_more: false, data: [exampleRecipient] }],
  });

const columns = ['email_id', 'email', 'name', 'status', 'smtp', 'transport', 'attempts', 'reason', 'at'] as const;
const exported = (example: string) => ({ schema: z.unknown().meta({ type: 'string', examples: [example] }) });

export function recipientListRoutes({ campaigns, listRecipients }: Deps): Routes {
  return (app) =>
    app.route({
      method: 'GET',
      url: '/campaigns/:id/recipients',
      config: { scope: 'read' },
      schema: {
        operationId: 'listCampaignRecipients',
        summary: 'List recipients of a campaign',
        description:
          'Recipients in the order in which they were added, with their results. With `format`, all of them come in one answer.',
        tags: ['campaigns'],
        params: campaignParams,
        querystring: listQuery,
        response: {
          200: {
            description: 'The matching recipients.',
            content: {
              'application/json': { schema: page },
              'application/x-ndjson': exported(`${JSON.stringify(exampleRecipient)}\n`),
              'text/csv': exported(csvHeader(columns) + csvOf(exampleRecipient)),
            },
          },
          ...problemAnswers(400, 404, 422),
        },
        'x-examples': { 404: campaignExamples.missing },
      },
      handler: async ({ params: { id }, query, apiKey }, reply) => {
        const campaign = await findCampaign(campaigns, id, apiKey);
        const groups = listRecipients(campaign, placeAfter(id, query.after), query.status ?? null);
        if (query.format === 'csv') return reply.type(lineTypes[1]).send(Readable.from(asCsv(groups)));
        if (query.format === 'ndjson') return reply.type(lineTypes[0]).send(Readable.from(asNdjson(groups)));
        const found = await firstOf(groups, query.limit + 1);
        const data = found.slice(0, query.limit).map(viewOf);
        return reply.send({ object: 'list' as const, has_more: found.length > query.limit, data });
      },
    });
}

function placeAfter(campaignId: string, after: string | undefined): number {
  if (after === undefined) return 0;
  const found = placeIn(after);
  if (found.campaignId === campaignId) return found.place + 1;
  const message = 'is not of a recipient of this campaign';
  throw ProblemError.of('validation_error', [{ pointer: '#/query/after', code: 'custom', message }]);
}

async function firstOf(groups: AsyncIterable<ListedRecipient[]>, count: number): Promise<ListedRecipient[]> {
  const found: ListedRecipient[] = [];
  for await (const group of groups) {
    found.push(...group);
    if (found.length >= count) break;
  }
  return found.slice(0, count);
}

type View = z.input<typeof recipientView>;

function viewOf({ emailId, address, name, recipient, at }: ListedRecipient): View {
  return {
    object: 'campaign_recipient',
    email_id: emailId,
    email: address,
    name,
    status: recipient?.status ?? null,
    smtp: recipient?.smtp ?? null,
    transport: recipient?.transport ?? null,
    attempts: recipient?.attempts ?? 0,
    reason: recipient?.reason ?? null,
    at: isoOrNull(at),
  };
}

/** Reads the next group only after the reader has taken the one before. */
async function* asNdjson(groups: AsyncIterable<ListedRecipient[]>): AsyncGenerator<string> {
  for await (const group of groups)
    if (group.length > 0) yield group.map((one) => `${JSON.stringify(viewOf(one))}\n`).join('');
}

async function* asCsv(groups: AsyncIterable<ListedRecipient[]>): AsyncGenerator<string> {
  yield csvHeader(columns);
  for await (const group of groups) if (group.length > 0) yield group.map((one) => csvOf(viewOf(one))).join('');
}

function csvOf(view: View): string {
  const said = { ...view, smtp: view.smtp?.reply ?? null };
  const fields = columns.map((column) => String(said[column] ?? ''));
  return csvLine(columns, fields);
}
