/** GET /v1/emails/:id/events and …/explain: what happened to an email, and why it has not moved on. */
import type { z } from 'zod';
import type { RetryPolicy } from '../domain/decide.ts';
import type { StoredEmail } from '../domain/email.ts';
import { type Explanation, explain, type Whereabouts } from '../domain/explain.ts';
import { isoOf, isoOrNull } from '../domain/iso-time.ts';
import type { Lane } from '../domain/lane.ts';
import { type HistoryEntry, historyOf, type Timeline } from '../domain/timeline.ts';
import { emailParams, findEmail } from './email-access.ts';
import { type entryView, explanationView, historyView } from './email-history-schemas.ts';
import { explanationExamples, historyExamples } from './openapi/email-history-examples.ts';
import { problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';

type Deps = {
  emails: {
    read(id: string): Promise<StoredEmail | null>;
    timeline(id: string): Promise<Timeline>;
  };
  /** Where the email is between accept and the next hop. */
  locateEmail(email: StoredEmail): Promise<Whereabouts>;
  policies: Readonly<Record<Lane, RetryPolicy>>;
  now(): number;
};

export function historyRoutes(deps: Deps): Routes {
  return (app) => {
    addEvents(app, deps);
    addExplanation(app, deps);
  };
}

function addEvents(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/emails/:id/events',
    config: { scope: 'read' },
    schema: {
      operationId: 'listEmailEvents',
      summary: 'List what happened to an email',
      description:
        'The timeline of the email, oldest first: when it was accepted; each attempt with the server, TLS, reply and milliseconds; and each change you requested. The acceptance and the last 100 of the other entries are kept. Every entry names the events it caused.',
      tags: ['emails'],
      params: emailParams,
      response: { 200: historyView, ...problemAnswers(400, 404) },
      'x-examples': { 200: historyExamples },
    },
    handler: async ({ params, apiKey }) => {
      const email = await findEmail(deps.emails.read, params.id, apiKey);
      const { steps, dropped, faults } = await deps.emails.timeline(params.id);
      return {
        object: 'list' as const,
        has_more: false as const,
        dropped_entries: dropped,
        transport_faults: faults,
        data: historyOf(email, steps).map(entryOf),
      };
    },
  });
}

function addExplanation(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/emails/:id/explain',
    config: { scope: 'read' },
    schema: {
      operationId: 'explainEmail',
      summary: 'Explain why an email was not sent yet',
      description: 'Explains in plain words where the email is, what it waits for, and when it continues.',
      tags: ['emails'],
      params: emailParams,
      response: { 200: explanationView, ...problemAnswers(400, 404) },
      'x-examples': { 200: explanationExamples },
    },
    handler: async ({ params, apiKey }) => {
      const email = await findEmail(deps.emails.read, params.id, apiKey);
      const { id, lane } = email.facts;
      const where = await deps.locateEmail(email);
      return explanationOf(id, explain(email, where, deps.policies[lane], deps.now()));
    },
  });
}

function entryOf(entry: HistoryEntry): z.input<typeof entryView> {
  const { at, kind, detail, transport, trace, events } = entry;
  return {
    at: isoOf(at),
    kind,
    detail,
    transport,
    host: trace?.host ?? null,
    tls: trace?.tls ?? null,
    ms: trace?.ms ?? null,
    events: events.map(({ id, type, sequence, to, smtp, reason }) => ({
      id,
      type,
      sequence,
      to: [...to],
      smtp,
      reason,
    })),
  };
}

function explanationOf(id: string, explanation: Explanation): z.input<typeof explanationView> {
  const { status, reason, summary, movesAt, endsAt, recipients } = explanation;
  return {
    object: 'explanation',
    email_id: id,
    status,
    reason,
    summary,
    moves_at: isoOrNull(movesAt),
    ends_at: isoOrNull(endsAt),
    recipients: recipients.map(({ address, status, why }) => ({ email: address, status, why })),
  };
}
