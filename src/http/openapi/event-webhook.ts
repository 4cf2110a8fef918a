/** Describes the POST that a webhook endpoint gets. */
import { eventExample } from './event-examples.ts';

const payload = { $ref: '#/components/schemas/EventPayload' };
const { object: _object, id, cursor: _cursor, ...told } = eventExample;

const header = (name: string, description: string, example: string) => ({
  in: 'header' as const,
  name,
  required: true,
  description,
  schema: { type: 'string' as const },
  example,
});

export const eventWebhooks = {
  event: {
    post: {
      operationId: 'receiveEvent',
      summary: 'Receive an event',
      description: [
        'What an endpoint gets: an event, or with `batch` a list of events, each with its `id`. It is signed according to Standard Webhooks. It may come more than once, under the same `webhook-id`. Answer 2xx once you have stored it.',
        'The three headers are repeated as `svix-id`, `svix-timestamp` and `svix-signature`, for consumers of the Resend API.',
      ].join('\n\n'),
      tags: ['webhook-posts'],
      security: [],
      parameters: [
        header('webhook-id', 'The id of the event, or of the batch; the same at each try.', id),
        header('webhook-timestamp', 'The time of this try, in seconds since the epoch.', '1795512601'),
        header(
          'webhook-signature',
          '`v1,` and a base64 HMAC-SHA256 of `id.timestamp.body`; there may be several, separated by spaces.',
          'v1,…',
        ),
      ],
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: { anyOf: [payload, { type: 'array' as const, items: payload }] },
            examples: {
              event: { summary: 'An event', value: told },
              batch: { summary: 'A batch', value: [{ id, ...told }] },
            },
          },
        },
      },
      responses: { '204': { description: 'The event was accepted and does not come again.' } },
    },
  },
};
