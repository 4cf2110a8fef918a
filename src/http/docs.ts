/** /docs: the API document, to read and to try out in a browser. Open, since it says nothing secret. */
import swaggerUi from '@fastify/swagger-ui';
import type { Routes } from './server.ts';

/** Loads only from this server. "Try it out" calls only this server, so that a key cannot leak to another. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const headers = {
  'content-security-policy': policy,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

export function docsRoutes(): Routes {
  return (app) => {
    app.addHook('onRequest', async (_request, reply) => {
      reply.headers(headers);
    });
    app.addHook('onRoute', (route) => {
      if (route.url !== '/docs/yaml') return;
      // JSON is valid YAML. The plugin's own YAML leaves times unquoted, which YAML 1.1 parsers take for dates, and making it blocks the process
      // for a second.
      route.handler = (_request, reply) => reply.type('application/yaml').send(JSON.stringify(app.swagger(), null, 2));
    });
    app.register(swaggerUi, {
      routePrefix: '/docs',
      theme: { title: 'Postrider API' },
      uiConfig: {
        // Without the top bar, which would load documents from other servers.
        layout: 'BaseLayout',
        tryItOutEnabled: true,
        displayRequestDuration: true,
        // A key typed into the page is forgotten with the page.
        persistAuthorization: false,
      },
    });
  };
}
