/** Examples of events in the feed, as a list and live. */

export const eventExample = {
  object: 'event',
  id: 'ev_01kb2m7x4p6q8s0t2v4w6x8y0z_2',
  cursor: '1795512601310-0',
  type: 'email.sent',
  timestamp: '2026-11-24T09:30:01.310Z',
  created_at: '2026-11-24T09:30:01.310Z',
  data: {
    email_id: 'em_01kb2m7x4p6q8s0t2v4w6x8y0z',
    sequence: 2,
    created_at: '2026-11-24T09:30:00.918Z',
    message_id: '<em_01kb2m7x4p6q8s0t2v4w6x8y0z@example.com>',
    from: 'hello@example.com',
    to: ['ada@example.org'],
    subject: 'Your receipt',
    tags: { kind: 'receipt' },
    metadata: { order_id: 1234 },
    external_id: 'order-1234',
    campaign_id: null,
    attempt: 1,
    transport: 'ses',
    smtp: { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok: queued as 4Zx1' },
    reason: null,
  },
};

export const streamExample = [
  'retry: 1000',
  'id: 1795512598204-0',
  '',
  `id: ${eventExample.cursor}`,
  `event: ${eventExample.type}`,
  `data: ${JSON.stringify(eventExample)}`,
  '',
  ':',
  `id: ${eventExample.cursor}`,
  '',
  '',
].join('\n');
