/** GET and POST /u/:token: the unsubscribe page, and one-click unsubscription (RFC 8058). Open: the token says who the recipient is. */
import { z } from 'zod';
import type { Subscription } from '../domain/unsubscribe.ts';
import { problemsAlone } from './problems.ts';
import type { App, Routes } from './server.ts';
import { askingPage, donePage, pageHeaders, unknownPage } from './unsubscribe-page.ts';

type Deps = {
  /** Whom a token is for; null when it is not one of ours. */
  subscriptionOf(token: string): Subscription | null;
  unsubscribe(subscription: Subscription): Promise<void>;
};

const params = z.object({
  token: z.string().meta({ description: 'The last part of the link.', examples: ['AVyCl0…'] }),
});

const htmlOf = (description: string, example: string) => ({
  description,
  content: { 'text/html': { schema: z.unknown().meta({ type: 'string', examples: [example] }) } },
});
const unknown = htmlOf('The token is not valid.', unknownPage());
const troubles = problemsAlone(400, 500, 503);
const tags = ['unsubscribe'];

export function unsubscribeRoutes(deps: Deps): Routes {
  return (app) => {
    // RFC 8058 section 3.1 allows a urlencoded or multipart body, and it has only one meaning. So it is dropped as it comes, within the time
    // limit of any request.
    app.addContentTypeParser('*', (_request, payload, done) => {
      payload.resume();
      done(null, undefined);
    });

    addAsking(app, deps);
    addUnsubscribing(app, deps);
  };
}

function addAsking(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/u/:token',
    schema: {
      operationId: 'askToUnsubscribe',
      summary: 'Show the unsubscribe page',
      description: 'Shows an unsubscribe button to the recipient of a bulk email. Opening the page changes nothing.',
      tags,
      security: [],
      params,
      response: {
        200: htmlOf('A page with a button.', askingPage('ada@example.com')),
        404: unknown,
        ...problemsAlone(400),
      },
    },
    handler: async ({ params: { token } }, reply) => {
      const subscription = deps.subscriptionOf(token);
      reply.headers(pageHeaders).status(subscription === null ? 404 : 200);
      return reply.send(subscription === null ? unknownPage() : askingPage(subscription.address));
    },
  });
}

function addUnsubscribing(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/u/:token',
    config: { ignoresBody: true },
    schema: {
      operationId: 'unsubscribe',
      summary: 'Unsubscribe',
      description:
        'Unsubscribes the address: it is suppressed for bulk mail, and there is an event `email.unsubscribed`. Used by the button of the page and by mailbox providers (RFC 8058). The body is ignored.',
      tags,
      security: [],
      params,
      response: {
        200: htmlOf('The address was unsubscribed.', donePage('ada@example.com')),
        404: unknown,
        ...troubles,
      },
    },
    handler: async ({ params: { token } }, reply) => {
      const subscription = deps.subscriptionOf(token);
      if (subscription !== null) await deps.unsubscribe(subscription);
      reply.headers(pageHeaders).status(subscription === null ? 404 : 200);
      return reply.send(subscription === null ? unknownPage() : donePage(subscription.address));
    },
  });
}
