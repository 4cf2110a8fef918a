/** GET /v1/emails: the emails that match, a page at a time. */
import { z } from 'zod';
import { parseMailbox } from '../domain/address.ts';
import type { ApiKey } from '../domain/api-key.ts';
import type { Campaign } from '../domain/campaign.ts';
import type { StoredEmail } from '../domain/email.ts';
import { campaignIdForm, emailIdForm } from '../domain/id.ts';
import { lanes } from '../domain/lane.ts';
import { recipientStatuses } from '../domain/recipient.ts';
import { instant } from '../domain/send-time.ts';
import type { CampaignQuery } from '../pipeline/find-in-campaign.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { IndexQuery, Term } from '../store/email-index.ts';
import type { EmailPage } from '../store/email-reads.ts';
import { maySee } from './campaign-access.ts';
import { emailSummaryView } from './email-schemas.ts';
import { summaryOf } from './email-view.ts';
import { emailListExamples } from './openapi/email-examples.ts';
import { pageFieldsOf, pageOf, refuseBothEnds } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App } from './server.ts';

/** Null means that too many emails would have to be searched. */
export type ListDeps = {
  emails: { find(query: IndexQuery): Promise<EmailPage | null> };
  campaigns: Pick<Campaigns, 'get'>;
  findInCampaign(campaign: Campaign, query: CampaignQuery): Promise<StoredEmail[] | null>;
};

const [oldest, newest] = [0, Number.MAX_SAFE_INTEGER];
const pageFields = pageFieldsOf(emailIdForm, 'an email');

/** Every other filter is refused beside `campaign_id`, which finds recipients that no index has. */
const withCampaign = ['campaign_id', 'status', ...Object.keys(pageFields)];

/** Strict: an unknown filter must not look like one that matches everything. */
const listQuery = refuseBothEnds(
  z.strictObject({
    ...pageFields,
    before: pageFields.before.meta({
      description:
        'The first id of the page you have, to get the newer ones before it. Give this or `after`, not both. Do not follow new mail with it: new mail can be stored behind an id you already have. Use `GET /v1/events` for that.',
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
  }),
).superRefine((query, context) => {
  if (query.campaign_id === undefined) return;
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && !withCampaign.includes(name))
      context.addIssue({ code: 'custom', path: [name], message: 'cannot be combined with campaign_id' });
});

type ListQuery = z.output<typeof listQuery>;

const emailPage = pageOf(emailSummaryView).meta({ description: 'The matching emails, newest first.' });

export function addEmailList(app: App, deps: ListDeps): void {
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
      const page =
        campaign_id === undefined
          ? await deps.emails.find(toIndexQuery(query, apiKey))
          : await findOfCampaign(deps, campaign_id, query, apiKey);
      if (page === null)
        throw ProblemError.of('validation_error', [campaign_id === undefined ? tooWide : tooSeldom(campaign_id)]);
      return { object: 'list' as const, has_more: page.hasMore, data: page.emails.map(summaryOf) };
    },
  });
}

async function findOfCampaign(
  deps: ListDeps,
  id: string,
  { status, limit, ...query }: ListQuery,
  key: ApiKey,
): Promise<EmailPage | null> {
  const campaign = campaignIdForm.test(id) ? await deps.campaigns.get(id) : null;
  if (campaign === null || !maySee(key, campaign.head)) return { emails: [], hasMore: false };
  const asked = { status: status ?? null, cursor: cursorOf(query), limit: limit + 1 };
  const found = await deps.findInCampaign(campaign, asked);
  // One more than asked for lies at the end away from the cursor.
  const emails = query.before === undefined ? found?.slice(0, limit) : found?.slice(-limit);
  return found && emails ? { emails, hasMore: found.length > limit } : null;
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
    limit,
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
