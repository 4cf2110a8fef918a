/** GET /v1/events: all events in order, from any place on, page by page or live. */
import { z } from 'zod';
import { cursorForm, type Reader, typePatterns, typesOf } from '../domain/event-feed.ts';
import { preferred } from './accept.ts';
import { eventPage, gapEvent, viewOf } from './event-view.ts';
import { openStreams, type StreamDeps, usualBounds } from './events/streams.ts';
import { streamExample } from './openapi/event-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';
import { streamHeaders } from './sse.ts';

const mostPerPage = 1_000;
const usualPerPage = 100;

const cursor = z.string().regex(cursorForm, 'is not a cursor of this feed');

/** Strict: an unknown filter must not look like one that matches everything. */
const feedQuery = z.strictObject({
  after: cursor.optional().meta({
    description:
      'The place to go on behind: `next` of the page before, or the `cursor` of an event. Without it a page begins with the oldest event that is kept, and a stream with what happens from now on.',
    examples: ['1795512601310-0'],
  }),
  types: z
    .preprocess(listed, z.array(z.enum(typePatterns)))
    .optional()
    .meta({
      description:
        'Only these types of event, with commas between them or repeated. `email.*` stands for all of a noun.',
      examples: [['email.sent', 'email.bounced']],
    }),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(mostPerPage)
    .default(usualPerPage)
    .meta({ description: 'How many a page has at most. A stream has no pages.' }),
});

const feedHeaders = z.looseObject({
  'last-event-id': z
    .union([cursor, z.literal('')])
    .optional()
    .meta({
      description: 'Where a stream goes on: the id of the last event that came. It goes before `after`.',
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
          'Every event that webhooks are told of, oldest first. Go on with `after` set to the `next` of the page before, and each event is read exactly once, those of an email in their order.',
          'A page may have fewer events than its limit, and be empty, although there are more: looking for rare types is cut short, and `has_more` and `next` say where it goes on.',
          'A key limited to domains or lanes sees the events of emails it could have sent, as long as their records are kept.',
          'Where events behind `after` have been removed already, the answer is 410.',
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
            description: 'The events that fit, oldest first: a page of them, or a stream.',
            content: { 'application/json': { schema: eventPage }, 'text/event-stream': { schema: eventStream } },
          },
          ...problemAnswers(410, 422),
        },
      },
      handler: async ({ query, headers, apiKey, method }, reply) => {
        const { types, after = null, limit } = query;
        const audience: Reader = { types: types === undefined ? null : typesOf(types), limits: apiKey };
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
  'Events behind this cursor have been removed before they were read. Go on without after, which begins with the oldest that is kept; GET /v1/emails says where the emails stand';

/** `types=a,b` and `types=a&types=b` mean the same. */
function listed(given: unknown): unknown {
  return [given].flat().flatMap((part) => (typeof part === 'string' ? part.split(',') : [part]));
}
