/** Examples of an email's timeline and of its explanation. */
import type { Examples } from './examples.ts';

const id = 'em_01kb2m7x4p6q8s0t2v4w6x8y0z';
const to = ['ada@example.org'];
const greylisted = { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Greylisted, try again later' };
const taken = { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok: queued as 4F2A1' };

const accepted = {
  at: '2026-11-24T09:30:00.000Z',
  kind: 'accepted',
  detail: null,
  transport: null,
  host: null,
  tls: null,
  ms: null,
  events: [event(1, 'email.queued', null)],
};

const answered = {
  kind: 'answered',
  detail: null,
  transport: 'default',
  host: 'smtp.example.com:465',
  tls: 'TLSv1.3',
};

export const historyExamples: Examples = {
  sent: {
    summary: 'Sent at the first attempt',
    value: {
      object: 'list',
      has_more: false,
      dropped_entries: 0,
      transport_faults: 0,
      data: [
        accepted,
        {
          ...answered,
          at: '2026-11-24T09:30:00.184Z',
          ms: { connect: 71, envelope: 38, body: 52 },
          events: [event(2, 'email.sent', taken)],
        },
      ],
    },
  },
  deferred: {
    summary: 'Deferred first, then sent',
    value: {
      object: 'list',
      has_more: false,
      dropped_entries: 0,
      transport_faults: 0,
      data: [
        accepted,
        {
          ...answered,
          at: '2026-11-24T09:30:00.131Z',
          ms: { connect: 68, envelope: 41, body: null },
          events: [event(2, 'email.delivery_delayed', greylisted)],
        },
        {
          ...answered,
          at: '2026-11-24T09:30:10.662Z',
          ms: { connect: null, envelope: 36, body: 49 },
          events: [event(3, 'email.sent', taken)],
        },
      ],
    },
  },
};

function event(sequence: number, type: string, smtp: typeof taken | null) {
  return { id: `ev_${id.slice('em_'.length)}_${sequence}`, type, sequence, to, smtp, reason: null };
}

export const explanationExamples: Examples = {
  deferred: {
    summary: 'Deferred by the next hop',
    value: {
      object: 'explanation',
      email_id: id,
      status: 'deferred',
      reason: 'deferred',
      summary: 'An attempt failed, but a later one may succeed. The next one is at 2026-11-24T09:30:10.504Z.',
      moves_at: '2026-11-24T09:30:10.504Z',
      ends_at: '2026-11-25T09:30:00.000Z',
      recipients: [
        {
          email: 'ada@example.org',
          status: 'deferred',
          why: 'default answered: 450 4.2.0 Greylisted, try again later; after 1 attempt; next attempt at 2026-11-24T09:30:10.504Z',
        },
      ],
    },
  },
  transport_trouble: {
    summary: 'The transport is in trouble',
    value: {
      object: 'explanation',
      email_id: id,
      status: 'queued',
      reason: 'transport_trouble',
      summary:
        'Transport default is in trouble. This does not count as an attempt of the email. It is tried again at 2026-11-24T09:30:05.217Z.',
      moves_at: '2026-11-24T09:30:05.217Z',
      ends_at: '2026-11-25T09:30:00.000Z',
      recipients: [
        {
          email: 'ada@example.org',
          status: 'queued',
          why: 'connect ECONNREFUSED smtp.example.com:465; next attempt at 2026-11-24T09:30:05.217Z',
        },
      ],
    },
  },
  waiting_for_budget: {
    summary: 'The transport has used up its rate',
    value: {
      object: 'explanation',
      email_id: id,
      status: 'queued',
      reason: 'waiting_for_budget',
      summary:
        'Transport default may send 14 per second and 50000 per day. About 310 emails are before this one, which is sent at about 2026-11-24T09:30:22.200Z. The wait does not count as an attempt.',
      moves_at: '2026-11-24T09:30:22.200Z',
      ends_at: '2026-11-26T09:30:00.000Z',
      recipients: [
        {
          email: 'ada@example.org',
          status: 'queued',
          why: 'waits for transport default to have some of its rate left',
        },
      ],
    },
  },
  transport_paused: {
    summary: 'Its transport is paused',
    value: {
      object: 'explanation',
      email_id: id,
      status: 'queued',
      reason: 'transport_paused',
      summary:
        'Transport default was paused at 2026-11-24T09:12:40.218Z by the key admin. This does not count as an attempt of the email. POST /v1/transports/default/resume resumes it.',
      moves_at: null,
      ends_at: '2026-11-25T09:30:00.000Z',
      recipients: [{ email: 'ada@example.org', status: 'queued', why: 'waits for transport default to be resumed' }],
    },
  },
  final: {
    summary: 'Done',
    value: {
      object: 'explanation',
      email_id: id,
      status: 'sent',
      reason: 'final',
      summary: 'Done: 1 sent. Nothing more will be tried.',
      moves_at: null,
      ends_at: null,
      recipients: [
        {
          email: 'ada@example.org',
          status: 'sent',
          why: 'default answered: 250 2.0.0 Ok: queued as 4F2A1; after 1 attempt',
        },
      ],
    },
  },
};
