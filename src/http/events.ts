/** GET /v1/events: all events in order, from any place on, page by page or live. */
import { z } from 'zod';
import { cursorForm, type Reader } from '../domain/event-feed.ts';
import { askedTypes, patternWords } from '../domain/event-types.ts';
import { preferred } from './accept-header.ts';
import { eventPage, gapEvent, viewOf } from './event-view.ts';
import { openStreams, type StreamDeps, usualBounds } from './events/streams.ts';
import { streamExample } from './openapi/event-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';
import { streamHeaders } from './sse.ts';

const mostPerPage = 1_000;
const usualPerPage = 100;

const cursor = z.string().regex(cursorForm, 'is not a cursor of this feed');
/** A browser that has seen no event yet may send the header empty. */
const cursorOrNothing = new RegExp(`${cursorForm.source}|^$`);

/** Strict: an unknown filter must not look like one that matches everything. */
const feedQuery = z.strictObject({
  after: cursor.optional().meta({
    description:
      'The place to continue after: the `next` of the previous page, or the `cursor` of an event. Without it, a page begins with the oldest stored event, and a stream with events from now on.',
    examples: ['1795512601310-0'],
  }),
  types: z
    .preprocess(listed, askedTypes)
    .optional()
    .meta({
      description: `Only these event types, separated by commas or repeated. ${patternWords}`,
      examples: [['email.sent', 'email.bounced']],
    }),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(mostPerPage)
    .default(usualPerPage)
    .meta({ description: 'The maximum number of events on a page. A stream has no pages.' }),
});

const feedHeaders = z.looseObject({
  'last-event-id': z
    .string()
    .regex(cursorOrNothing, 'is not a cursor of this feed')
    .optional()
    .meta({
      description:
        'For streams: the id of the last event received, to continue after it. It takes precedence over `after`.',
      examples: ['1795512601310-0'],
    }),
});

const eventStream = z.string().meta({ examples: [streamExample] });

const media = ['application/json', 'text/event-stream'] as const;

export function eventRoutes(deps: StreamDeps, bounds = usualBounds): Routes {
  return (app) => {
    const streams = openStreams(deps, bounds);
    app.addHook('preClose', async () => streams.close());

    app.route({
      method: 'GET',
      url: '/events',
      config: { scope: 'read' },
      schema: {
        operationId: 'listEvents',
        summary: 'Read events, page by page or live',
        description: [
          'Every event that webhooks can get, oldest first. To continue, set `after` to the `next` of the previous page. Each event is then read exactly once, and the events of an email come in their order.',
          'A page may be short or empty although `has_more` is true, because the search for rare types is cut short. Continue with `next`.',
          'A key limited to domains or lanes sees the events of emails it could have sent, as long as their records are stored.',
          'If events that follow `after` have already been removed, the answer is 410.',
          '',
          'With `Accept: text/event-stream` events come as they happen: server-sent events with the cursor as `id`, the type as `event` and what a list has as `data`, and a comment every 15 seconds.',
          `It goes on behind \`Last-Event-ID\` or \`after\`, with what was missed first. Where events there have been removed, an event \`${gapEvent}\` says so, and the stream goes on with the oldest that is kept.`,
          'A key may have 100 streams at one process, together with those that it made. A reader that takes nothing for a minute is dropped. The stream ends when the process stops or the key is revoked.',
        ].join('\n'),
        tags: ['events'],
        headers: feedHeaders,
        querystring: feedQuery,
        response: {
          200: {
            description: 'The matching events, oldest first: a page, or a stream.',
            content: { 'application/json': { schema: eventPage }, 'text/event-stream': { schema: eventStream } },
          },
          ...problemAnswers(410, 422),
        },
      },
      handler: async ({ query, headers, apiKey, method }, reply) => {
        const { types, after = null, limit } = query;
        const audience: Reader = { types: types === undefined ? null : new Set(types), limits: apiKey };
        reply.header('vary', 'accept');
        const isStream = preferred(headers.accept, media) === 'text/event-stream';
        if (isStream && method === 'HEAD') return reply.headers(streamHeaders).send('');
        if (isStream) return streams.answer(reply, { key: apiKey, audience, place: headers['last-event-id'] || after });
        const page = await deps.readEvents(audience, after, limit);
        if (page.kind === 'gone') throw new ProblemError('cursor_expired', expired);
        return {
          object: 'list' as const,
          has_more: page.hasMore,
          next: page.next,
          data: page.items.map(viewOf),
        };
      },
    });
  };
}

const expired =
  'Some events after this cursor were removed before they were read. Continue without after, which begins with the oldest stored event; GET /v1/emails shows the status of the emails';

/** `types=a,b` and `types=a&types=b` mean the same. */
function listed(given: unknown): unknown {
  return [given].flat().flatMap((part) => (typeof part === 'string' ? part.split(',') : [part]));
}
