/** Examples of campaigns, of their moves, and of their recipients. */
import type { CampaignStatus } from '../../domain/campaign.ts';
import type { Examples } from './examples.ts';
import { campaignConflictExamples, faultExamples, notFoundExamples } from './problem-examples.ts';

const counts = {
  recipients: 50_000,
  pending: 31_250,
  sent: 18_204,
  delivered: 0,
  bounced: 412,
  complained: 0,
  failed: 3,
  suppressed: 131,
  canceled: 0,
  expired: 0,
  outcome_unknown: 0,
};

const summary = {
  object: 'campaign',
  id: 'cm_01kb2m9c8e0g2j4m6p8r000000',
  name: 'News of December',
  status: 'running',
  counts,
  rate: '100/s',
  pace: 98.5,
  eta: '2026-12-07T09:08:35.000Z',
  from: 'Acme <news@example.com>',
  subject: 'News for {{ name }}',
  template: null,
  tags: [{ name: 'kind', value: 'news' }],
  metadata: {},
  created_at: '2026-12-04T15:00:00.000Z',
  scheduled_at: '2026-12-07T09:00:00.000Z',
  started_at: '2026-12-07T09:00:00.412Z',
  ended_at: null,
};

const content = {
  waits_for: [],
  reply_to: [],
  html: '<p>Hello {{ name }}</p>',
  text: null,
  preheader: null,
  missing: 'strict',
  variables: [{ key: 'name', type: 'string', fallback_value: 'friend' }],
  headers: {},
  route: null,
  on_unknown: 'retry',
};

export const exampleCampaign = summary;

export const exampleRecipient = {
  object: 'campaign_recipient' as const,
  email_id: 'em_01kb2m9c8e0g2j4m6p8r0000ax',
  email: 'ada@example.org',
  name: 'Ada',
  status: 'bounced' as const,
  smtp: { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 No such user here' },
  transport: 'ses',
  attempts: 1,
  reason: null,
  at: '2026-12-07T09:00:04.120Z',
};

const path = `/v1/campaigns/${summary.id}`;
const nobody = Object.fromEntries(Object.keys(counts).map((name) => [name, 0]));
const draft = {
  ...summary,
  ...content,
  status: 'draft',
  counts: nobody,
  pace: null,
  eta: null,
  started_at: null,
};
const moved = (status: CampaignStatus) => ({ ...summary, status, pace: null, eta: null });

export const campaignExamples = {
  requests: {
    whole: {
      summary: 'With its content',
      value: {
        name: summary.name,
        from: summary.from,
        subject: summary.subject,
        html: content.html,
        variables: [{ key: 'name', type: 'string', fallback_value: 'friend' }],
        rate: '100/s',
        tags: summary.tags,
        scheduled_at: '2026-12-07T09:00:00Z',
      },
    },
    template: {
      summary: 'From a template',
      value: {
        name: 'Orders',
        from: summary.from,
        template: { id: 'order-confirmation', variables: { order: { number: 1234, items: [] } } },
      },
    },
  },
  one: { campaign: { summary: 'Running', value: { ...summary, ...content } } },
  draft: { draft: { summary: 'No recipients yet', value: draft } },
  page: { page: { summary: 'The last page', value: { object: 'list', has_more: false, data: [summary], next: null } } },
  changes: { rate: { summary: 'Without a rate limit', value: { rate: null } } },
  changed: { changed: { summary: 'As it is now', value: { ...draft, rate: null } } },
  deleted: { deleted: { summary: 'Deleted', value: { object: 'campaign', id: summary.id, deleted: true } } },
  sending: { later: { summary: 'At a later time', value: { scheduled_at: '2026-12-07T14:00:00+01:00' } } },
  sent: {
    running: { summary: 'Started', value: moved('running') },
    scheduled: { summary: 'Scheduled', value: { ...moved('scheduled'), started_at: null } },
  },
  paused: { paused: { summary: 'Paused', value: moved('paused') } },
  resumed: { resumed: { summary: 'Resumed', value: moved('running') } },
  canceled: {
    canceled: { summary: 'Canceled', value: { ...moved('canceled'), ended_at: '2026-12-07T09:04:00.000Z' } },
  },
  uploads: {
    ndjson: {
      summary: 'One object per line',
      media: 'application/x-ndjson',
      value:
        '{"email":"ada@example.org","name":"Ada","variables":{"plan":"gold"}}\n{"email":"grace@example.org","plan":"silver"}\n',
    },
    csv: {
      summary: 'Columns in any order',
      media: 'text/csv',
      value: 'name,email,plan\r\nAda,ada@example.org,gold\r\n"Hopper, Grace",grace@example.org,silver\r\n',
    },
    json: {
      summary: 'A list of any length',
      media: 'application/json',
      value: [{ email: 'ada@example.org', name: 'Ada', variables: { plan: 'gold' } }],
    },
  },
  uploaded: {
    uploaded: {
      summary: 'One line had an error',
      value: {
        object: 'campaign_recipients',
        received: 50_003,
        added: 50_000,
        duplicates: 2,
        invalid: 1,
        complete: true,
        errors: [{ line: 1_204, message: '/email: is not an address: expected local-part@domain' }],
        missing_variables: [],
      },
    },
  },
  closed: campaignConflictExamples('added to: only a draft or a scheduled one can be', 'running', `${path}/recipients`),
  missing: notFoundExamples(`There is no campaign ${summary.id}`, path),
  faults: faultExamples(
    '/v1/campaigns',
    { pointer: '/rate', code: 'custom', message: 'must be one rate, such as 14/s' },
    { pointer: '/html', code: 'custom', message: 'line 3, column 7: filter "upper" is not known here' },
  ),
  tooLate: campaignConflictExamples('sent: only a draft or a scheduled one can be', 'running', `${path}/send`),
  notDraft: campaignConflictExamples('changed: only a draft can be', 'running', path),
  notOver: campaignConflictExamples('removed while recipients of it are pending', 'running', path),
  notRunning: campaignConflictExamples('paused: only a running one can be', 'completed', `${path}/pause`),
  notPaused: campaignConflictExamples('resumed: only a paused one can be', 'running', `${path}/resume`),
  over: campaignConflictExamples('canceled: it is over', 'completed', `${path}/cancel`),
} satisfies Record<string, Examples>;
