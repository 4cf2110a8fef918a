/** A campaign as callers see it: the schemas, and views made of a stored campaign. */
import { z } from 'zod';
import { formatMailbox } from '../domain/address.ts';
import { type Campaign, type CampaignContent, campaignCounts, campaignStatuses, etaOf } from '../domain/campaign.ts';
import { onUnknownPolicies } from '../domain/email.ts';
import { tag } from '../domain/email-fields.ts';
import { formatRates } from '../domain/rate.ts';
import { missingPolicies, variableTypes } from '../domain/template.ts';
import { deletedView, isoOf, isoOrNull, objectField, time } from './answer-fields.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { partialPageOf } from './paging.ts';

const countMeanings = {
  pending: 'wait, are being sent, or are tried again later',
  sent: 'the next hop took',
  delivered: 'are known to have arrived',
  bounced: 'were refused for good',
  complained: 'arrived, and were reported as spam',
  failed: 'failed for another reason',
  suppressed: 'are suppressed, and get nothing',
  canceled: 'were canceled while they were pending or held',
  expired: 'could not be reached in time',
  outcome_unknown: 'may have been reached, and are held until you decide',
} as const satisfies Record<(typeof campaignCounts)[number], string>;

const counts = z
  .object({
    recipients: z.int().meta({ description: 'All of them: the sum of the others.' }),
    ...(Object.fromEntries(
      campaignCounts.map((name) => [name, z.int().meta({ description: `Those who ${countMeanings[name]}.` })]),
    ) as Record<(typeof campaignCounts)[number], z.ZodInt>),
  })
  .meta({
    id: 'CampaignCounts',
    description: 'Its recipients by where they stand: each in one of these, at any moment.',
  });

const templateUse = z.object({
  id: z.string().meta({ description: 'The template.' }),
  version: z.int().meta({ description: 'Its version.' }),
});

const standingFields = {
  object: objectField('campaign'),
  id: z.string().meta({ description: 'Its id, `cm_…`.' }),
  status: z.enum(campaignStatuses).meta({
    description:
      '`draft` until it is sent; `scheduled` to begin later; `running`; `paused`; `completed` when nobody is pending any more; `canceled`.',
  }),
  counts,
};

const summaryFields = {
  ...standingFields,
  name: z.string().meta({ description: 'What it is for, in your words.' }),
  rate: z.string().nullable().meta({ description: 'How many messages may leave, as you asked; null for no limit.' }),
  pace: z
    .number()
    .nullable()
    .meta({ description: 'Recipients a second that were done with of late; null unless it runs.' }),
  eta: time.nullable().meta({ description: 'When about nobody will be pending any more, at this pace.' }),
  from: z.string().meta({ description: 'Who it is from.' }),
  subject: z.string().meta({ description: 'The subject line, as it is written.' }),
  template: templateUse
    .nullable()
    .meta({ description: 'The template its content was copied of; null for content of its own.' }),
  tags: z.array(tag).meta({ description: 'The labels of its emails.' }),
  metadata: z.record(z.string(), z.unknown()).meta({ description: 'What you gave with it.' }),
  created_at: time.meta({ description: 'When it was made.' }),
  scheduled_at: time
    .nullable()
    .meta({ description: 'When it is to begin, or was to; null for as soon as it is sent.' }),
  started_at: time.nullable().meta({ description: 'When it began.' }),
  ended_at: time.nullable().meta({ description: 'When it was completed or canceled.' }),
};

const campaignSummaryView = z
  .object(summaryFields)
  .meta({ id: 'CampaignSummary', description: 'A campaign as lists have it, and where it stands now.' });

const source = (what: string) =>
  z
    .string()
    .nullable()
    .meta({ description: `${what}, as it is written.` });

const declared = z.object({
  key: z.string().meta({ description: 'Its name.' }),
  type: z.enum(variableTypes).meta({ description: 'What it must be where it is given.' }),
  fallback_value: z
    .union([z.string(), z.number()])
    .nullable()
    .meta({ description: 'What stands where it is not given.' }),
});

export const campaignView = z
  .object({
    ...summaryFields,
    template: templateUse
      .extend({
        variables: z
          .record(z.string(), z.unknown())
          .meta({ description: 'What stands where a recipient has no variable of that name.' }),
      })
      .nullable()
      .meta({ description: 'The template its content was copied of; null for content of its own.' }),
    reply_to: z.array(z.string()).meta({ description: 'Where answers go.' }),
    html: source('The HTML body'),
    text: source('The plain text body; null where it is made of the HTML'),
    preheader: source('The preheader'),
    missing: z.enum(missingPolicies).meta({ description: 'What a variable means that a recipient has not.' }),
    variables: z.array(declared).meta({ description: 'The variables that were declared.' }),
    headers: z.record(z.string(), z.string()).meta({ description: 'The headers you gave.' }),
    route: z.string().nullable().meta({ description: 'The route you asked for.' }),
    on_unknown: z
      .enum(onUnknownPolicies)
      .meta({ description: 'What is done when a crash leaves open whether a message was handed over.' }),
  })
  .meta({ id: 'Campaign', description: 'The campaign, with what its letters say.' });

const campaignStanding = z.object(standingFields).meta({
  id: 'CampaignStanding',
  description: 'Where a campaign stands: all that a key without `read` is told of it.',
});

/** The answer to a key that makes or moves campaigns. It shows a key no more than the key could read. */
export const campaignAnswer = z
  .union([campaignView, campaignStanding])
  .meta({ description: 'The campaign; to a key without `read`, where it stands.' });
export const campaignMoveAnswer = z
  .union([campaignSummaryView, campaignStanding])
  .meta({ description: 'The campaign as it is now; to a key without `read`, where it stands.' });

export const campaignPage = partialPageOf(campaignSummaryView).meta({ description: 'Campaigns, newest first.' });

export const deletedCampaign = deletedView('campaign').meta({
  description: 'The campaign was removed.',
  examples: [campaignExamples.deleted.deleted.value],
});

export function standingOf({ head: { id }, state }: Campaign): z.input<typeof campaignStanding> {
  return { object: 'campaign', id, status: state.status, counts: { ...state.counts } };
}

export function summaryOf(campaign: Campaign, now: number): z.input<typeof campaignSummaryView> {
  const { head, state } = campaign;
  const { name, from, subject, template, rate } = head;
  return {
    ...standingOf(campaign),
    name,
    rate: rate && formatRates([rate]),
    ...{ pace: state.pace, eta: isoOrNull(etaOf(state, now)) },
    ...{ from: formatMailbox(from), subject, template },
    ...{ tags: [...head.tags], metadata: { ...head.metadata } },
    ...{ created_at: isoOf(head.createdAt), scheduled_at: isoOrNull(state.scheduledAt) },
    ...{ started_at: isoOrNull(state.startedAt), ended_at: isoOrNull(state.endedAt) },
  };
}

export function viewOf(campaign: Campaign, content: CampaignContent, now: number): z.input<typeof campaignView> {
  const { head } = campaign;
  const { html, text, preheader, missing, variables, defaults = {} } = content;
  return {
    ...summaryOf(campaign, now),
    template: head.template && { ...head.template, variables: { ...defaults } },
    reply_to: head.replyTo.map(formatMailbox),
    ...{ html, text, preheader, missing },
    variables: variables.map(({ key, type, fallback }) => ({ key, type, fallback_value: fallback })),
    ...{ headers: { ...head.headers }, route: head.route, on_unknown: head.onUnknown },
  };
}
