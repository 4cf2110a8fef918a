/** What the document says of the API as a whole. */
import { eventWebhooks } from './event-webhook.ts';

/** One tag for each noun, in the order of the page. An operation has one of these names. */
const tags = [
  { name: 'emails', description: 'Send emails and see the result for each recipient.' },
  {
    name: 'suppressions',
    description: 'Addresses that get no more mail because they bounced, complained or unsubscribed.',
  },
  {
    name: 'campaigns',
    description: 'One message to very many recipients: the list, the speed, and the result for each recipient.',
  },
  { name: 'templates', description: 'Emails with variables, in Liquid, stored in versions.' },
  {
    name: 'webhooks',
    description: 'Endpoints of yours that get events, signed according to Standard Webhooks.',
  },
  { name: 'events', description: 'All events in order, page by page or live, starting anywhere.' },
  {
    name: 'transports',
    description: 'The SMTP servers and accounts that mail is sent by: see their state, pause and resume them.',
  },
  { name: 'api-keys', description: 'Keys to call the API with, limited by scopes, domains, lanes and rates.' },
  {
    name: 'unsubscribe',
    description: 'Where recipients of bulk mail unsubscribe. No API key is needed: the link identifies the recipient.',
  },
  { name: 'health', description: 'Whether the process is alive and can take work. No API key is needed.' },
  // A tag of its own: generators write one file for each tag of the paths, then one for each tag of the webhooks.
  { name: 'webhook-posts', description: 'What Postrider POSTs to your endpoints.' },
];

export function openapiHead(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Postrider',
      version,
      description: 'Send email over HTTP, and learn the result by webhook or by request.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags,
    components: {
      securitySchemes: {
        apiKey: { type: 'http' as const, scheme: 'bearer', description: 'An API key, `pr_…`, as a Bearer token.' },
      },
    },
    security: [{ apiKey: [] }],
    webhooks: eventWebhooks,
  };
}
