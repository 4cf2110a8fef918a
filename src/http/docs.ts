/** /docs: the API's document, to be read and tried out in a browser. Open, as it says nothing that is secret. */
import swaggerUi from '@fastify/swagger-ui';
import type { Routes } from './server.ts';

/** Only what this server gives; requests of "Try it out" go nowhere else, so that a key cannot leave. */
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
      // JSON is YAML. The plugin's own leaves times unquoted, which readers of YAML 1.1 take for dates, and holds up everybody for a second.
      route.handler = (_request, reply) => reply.type('application/yaml').send(JSON.stringify(app.swagger(), null, 2));
    });
    app.register(swaggerUi, {
      routePrefix: '/docs',
      theme: { title: 'Postrider API' },
      uiConfig: {
        // Without the bar at the top, which would load documents from elsewhere.
        layout: 'BaseLayout',
        tryItOutEnabled: true,
        displayRequestDuration: true,
        // A key typed into the page is gone with the page.
        persistAuthorization: false,
      },
    });
  };
}
