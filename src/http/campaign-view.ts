/** A campaign as callers see it: the schemas, and views made of a stored campaign. */
import { z } from 'zod';
import { formatMailbox } from '../domain/address.ts';
import {
  type Campaign,
  type CampaignContent,
  campaignCounts,
  campaignStatuses,
  etaOf,
  roundedPace,
} from '../domain/campaign.ts';
import { onUnknownPolicies } from '../domain/email.ts';
import { tag } from '../domain/email-fields.ts';
import { parkedReasons } from '../domain/explain-parked.ts';
import { isoOf, isoOrNull } from '../domain/iso-time.ts';
import { formatRates } from '../domain/rate.ts';
import { missingPolicies, variableTypes } from '../domain/template.ts';
import type { HoldUp } from '../pipeline/find-hold-ups.ts';
import { deletedView, objectField, time } from './answer-fields.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { partialPageOf } from './paging.ts';

const countMeanings = {
  pending: 'Recipients waiting, being sent to, or being retried.',
  sent: 'Accepted by the next hop.',
  delivered: 'Confirmed as delivered.',
  bounced: 'Permanently refused.',
  complained: 'Delivered and reported as spam.',
  failed: 'Failed for another reason.',
  suppressed: 'On the suppression list; nothing is sent.',
  canceled: 'Canceled while pending or held.',
  expired: 'Not reached in time.',
  outcome_unknown: 'May have been reached; held until you decide.',
} as const satisfies Record<(typeof campaignCounts)[number], string>;

const counts = z
  .object({
    recipients: z.int().meta({ description: 'All recipients: the sum of the other counts.' }),
    ...(Object.fromEntries(
      campaignCounts.map((name) => [name, z.int().meta({ description: countMeanings[name] })]),
    ) as Record<(typeof campaignCounts)[number], z.ZodInt>),
  })
  .meta({
    id: 'CampaignCounts',
    description: 'Recipients by status; each is counted once.',
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
      '`draft`: not sent yet. `scheduled`: starts later. `running`. `paused`. `completed`: no recipient is pending any more. `canceled`.',
  }),
  counts,
};

const summaryFields = {
  ...standingFields,
  name: z.string().meta({ description: 'Your name for it.' }),
  rate: z.string().nullable().meta({ description: 'The limit on sending, as requested; null for no limit.' }),
  pace: z.number().nullable().meta({
    description:
      'Recipients completed per second, measured recently; null unless it is running and a worker is sending it.',
  }),
  eta: time
    .nullable()
    .meta({ description: 'Estimated time at which no recipient is pending, at this pace; null when unknown.' }),
  from: z.string().meta({ description: 'The sender.' }),
  subject: z.string().meta({ description: 'The subject line, as Liquid source.' }),
  template: templateUse
    .nullable()
    .meta({ description: 'The template the content was copied from; null for content given directly.' }),
  tags: z.array(tag).meta({ description: 'The labels of its emails.' }),
  metadata: z.record(z.string(), z.unknown()).meta({ description: 'The metadata you gave.' }),
  created_at: time.meta({ description: 'When it was created.' }),
  scheduled_at: time.nullable().meta({ description: 'The requested start time; null to start as soon as it is sent.' }),
  started_at: time.nullable().meta({ description: 'When it started.' }),
  ended_at: time.nullable().meta({ description: 'When it was completed or canceled.' }),
};

const campaignSummaryView = z
  .object(summaryFields)
  .meta({ id: 'CampaignSummary', description: 'A campaign in a list, with its current status.' });

const source = (what: string) =>
  z
    .string()
    .nullable()
    .meta({ description: `${what}, as Liquid source.` });

const declared = z.object({
  key: z.string().meta({ description: 'Its name.' }),
  type: z.enum(variableTypes).meta({ description: 'The type of the value, if one is given.' }),
  fallback_value: z
    .union([z.string(), z.number()])
    .nullable()
    .meta({ description: 'The value used if none is given.' }),
});

const holdUp = z
  .object({
    transport: z.string().meta({ description: 'The transport.' }),
    reason: z.enum(parkedReasons).meta({ description: 'Why it cannot take them now, as `…/explain` has it.' }),
    moves_at: time
      .nullable()
      .meta({ description: 'About when it can take the next one; null when unknown, or as soon as possible.' }),
  })
  .meta({ id: 'CampaignHoldUp', description: 'A transport that recipients of a campaign wait for.' });

export const campaignView = z
  .object({
    ...summaryFields,
    waits_for: z.array(holdUp).meta({
      description:
        'Transports that could not take some of its recipients, who wait for them, while the others are sent to. Empty unless it is running.',
    }),
    template: templateUse
      .extend({
        variables: z
          .record(z.string(), z.unknown())
          .meta({ description: 'Values for variables that a recipient does not have.' }),
      })
      .nullable()
      .meta({ description: 'The template the content was copied from; null for content given directly.' }),
    reply_to: z.array(z.string()).meta({ description: 'Where replies go.' }),
    html: source('The HTML body'),
    text: source('The plain text body; null if it is made from the HTML'),
    preheader: source('The preheader'),
    missing: z.enum(missingPolicies).meta({ description: 'How a missing variable is treated.' }),
    variables: z.array(declared).meta({ description: 'The variables that were declared.' }),
    headers: z.record(z.string(), z.string()).meta({ description: 'The headers you gave.' }),
    route: z.string().nullable().meta({ description: 'The route you requested.' }),
    on_unknown: z
      .enum(onUnknownPolicies)
      .meta({ description: 'What is done when a crash leaves it unknown whether a message was handed over.' }),
  })
  .meta({ id: 'Campaign', description: 'The campaign with its content.' });

const campaignStanding = z.object(standingFields).meta({
  id: 'CampaignStanding',
  description: 'Status and counts of a campaign: all that a key without `read` may see.',
});

/** The answer to a key that makes or moves campaigns. It shows a key no more than the key could read. */
export const campaignAnswer = z.union([campaignView, campaignStanding]).meta({
  description:
    'The campaign; for a key without `read`, only its status and counts. A repeat of its creation once it was deleted gets those that it had at first.',
});
export const campaignMoveAnswer = z
  .union([campaignSummaryView, campaignStanding])
  .meta({ description: 'The campaign as it is now; for a key without `read`, only its status and counts.' });

export const campaignPage = partialPageOf(campaignSummaryView).meta({ description: 'Campaigns, newest first.' });

export const deletedCampaign = deletedView('campaign').meta({
  description: 'The campaign was removed.',
  examples: [campaignExamples.deleted.deleted.value],
});

export function standingOf({ head: { id }, state }: Campaign): z.input<typeof campaignStanding> {
  return { object: 'campaign', id, status: state.status, counts: { ...state.counts } };
}

/** A campaign as it was when it was created. */
export function standingOfNew(id: string): z.input<typeof campaignStanding> {
  const none = Object.fromEntries(['recipients', ...campaignCounts].map((name) => [name, 0]));
  return { object: 'campaign', id, status: 'draft', counts: none as z.input<typeof counts> };
}

export function summaryOf(campaign: Campaign, now: number): z.input<typeof campaignSummaryView> {
  const { head, state } = campaign;
  const { name, from, subject, template, rate } = head;
  return {
    ...standingOf(campaign),
    name,
    rate: rate && formatRates([rate]),
    pace: state.pace && roundedPace(state.pace),
    eta: isoOrNull(etaOf(state, now)),
    from: formatMailbox(from),
    subject,
    template,
    tags: [...head.tags],
    metadata: { ...head.metadata },
    created_at: isoOf(head.createdAt),
    scheduled_at: isoOrNull(state.scheduledAt),
    started_at: isoOrNull(state.startedAt),
    ended_at: isoOrNull(state.endedAt),
  };
}

export function viewOf(
  campaign: Campaign,
  content: CampaignContent,
  holdUps: readonly HoldUp[],
  now: number,
): z.input<typeof campaignView> {
  const { head } = campaign;
  const { html, text, preheader, missing, variables, defaults = {} } = content;
  return {
    ...summaryOf(campaign, now),
    waits_for: holdUps.map(({ transport, reason, movesAt }) => ({ transport, reason, moves_at: isoOrNull(movesAt) })),
    template: head.template && { ...head.template, variables: { ...defaults } },
    reply_to: head.replyTo.map(formatMailbox),
    html,
    text,
    preheader,
    missing,
    variables: variables.map(({ key, type, fallback }) => ({ key, type, fallback_value: fallback })),
    headers: { ...head.headers },
    route: head.route,
    on_unknown: head.onUnknown,
  };
}
