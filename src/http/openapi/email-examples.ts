/** Examples of emails: sent, read and listed. The server accepts the scheduled times in them even after they have passed. */
import type { Examples } from './examples.ts';

export const sendExamples: Examples = {
  receipt: {
    summary: 'A receipt',
    value: {
      from: 'Acme <hello@example.com>',
      to: 'Ada Lovelace <ada@example.org>',
      subject: 'Your receipt',
      html: '<p>Thank you for your order 1234.</p>',
      text: 'Thank you for your order 1234.',
      tags: [{ name: 'kind', value: 'receipt' }],
      external_id: 'order-1234',
    },
  },
  login_code: {
    summary: 'A login code that expires after ten minutes',
    value: {
      from: { email: 'login@example.com', name: 'Acme, Inc.' },
      to: 'ada@example.org',
      subject: 'Your code is 482 913',
      text: 'Your code is 482 913. It works for ten minutes.',
      ttl: 600,
    },
  },
  template: {
    summary: 'From a template',
    value: {
      to: 'ada@example.org',
      template: {
        id: 'order-confirmation',
        variables: { name: 'Ada', order: { number: 1234, items: [{ name: 'Tea' }, { name: 'Cups' }] } },
      },
    },
  },
  scheduled: {
    summary: 'For Monday morning, to several people',
    value: {
      from: 'Acme <hello@example.com>',
      to: ['ada@example.org', 'Grace Hopper <grace@example.org>'],
      cc: 'team@example.com',
      reply_to: 'support@example.com',
      subject: 'Your trial ends on Friday',
      text: 'You can go on using Acme: https://example.com/plans',
      scheduled_at: '2026-12-07T09:00:00+01:00',
      metadata: { account: 17, plan: 'trial' },
    },
  },
  files: {
    summary: 'With attachments: one included, one fetched, one shown in the html',
    value: {
      from: 'Acme <billing@example.com>',
      to: 'ada@example.org',
      subject: 'Your invoice for November',
      html: '<p><img src="cid:logo" alt="Acme"></p><p>Your invoice is attached.</p>',
      text: 'Your invoice is attached.',
      attachments: [
        { filename: 'note.txt', content: 'UGF5YWJsZSBpbiAxNCBkYXlzLg==' },
        { path: 'https://files.example.com/invoices/2026-11.pdf' },
        { path: 'https://files.example.com/logo.png', content_id: 'logo' },
      ],
      headers: { 'X-Entity-Ref-ID': 'invoice-2026-11' },
    },
  },
};

const summary = {
  object: 'email',
  id: 'em_01kb2m7x4p6q8s0t2v4w6x8y0z',
  from: 'Acme <hello@example.com>',
  to: ['Ada Lovelace <ada@example.org>'],
  cc: [],
  bcc: [],
  reply_to: [],
  subject: 'Your receipt',
  tags: [{ name: 'kind', value: 'receipt' }],
  metadata: {},
  external_id: 'order-1234',
  lane: 'transactional',
  route: null,
  template: null,
  campaign_id: null,
  message_id: '<em_01kb2m7x4p6q8s0t2v4w6x8y0z@example.com>',
  created_at: '2026-11-24T09:30:00.000Z',
  scheduled_at: null,
  expires_at: null,
  status: 'sent',
  last_event: 'sent',
  attempts: 1,
};

const content = {
  html: '<p>Thank you for your order 1234.</p>',
  text: 'Thank you for your order 1234.',
  headers: {},
  attachments: [],
  on_unknown: 'retry',
  dsn: null,
};

const toAda = {
  email: 'ada@example.org',
  kind: 'to',
  status: 'sent',
  attempts: 1,
  smtp: { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok: queued as 4F2A1' },
  transport: 'default',
  next_attempt_at: null,
  reason: null,
};

export const emailExamples: Examples = {
  sent: { summary: 'Sent', value: { ...summary, ...content, recipients: [toAda] } },
  deferred: {
    summary: 'Sent to one recipient, deferred for another',
    value: {
      ...summary,
      ...content,
      cc: ['grace@example.net'],
      status: 'deferred',
      last_event: 'delivery_delayed',
      recipients: [
        toAda,
        {
          ...toAda,
          email: 'grace@example.net',
          kind: 'cc',
          status: 'deferred',
          smtp: { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Greylisted, try again later' },
          next_attempt_at: '2026-11-24T09:30:11.412Z',
        },
      ],
    },
  },
};

export const emailListExamples: Examples = {
  page: {
    summary: 'The last page',
    value: {
      object: 'list',
      has_more: false,
      data: [
        summary,
        {
          ...summary,
          id: 'em_01kb2m7b1d3f5h7k9n1q3s5v7x',
          message_id: '<em_01kb2m7b1d3f5h7k9n1q3s5v7x@example.com>',
          subject: 'Your trial ends on Friday',
          tags: [],
          metadata: { account: 17, plan: 'trial' },
          external_id: null,
          created_at: '2026-11-24T09:29:36.000Z',
          scheduled_at: '2026-12-07T08:00:00.000Z',
          status: 'scheduled',
          last_event: 'scheduled',
          attempts: 0,
        },
      ],
    },
  },
};
