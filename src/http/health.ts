/** /livez and /readyz: is the process alive, and can it take work. */
import { z } from 'zod';
import type { Routes } from './server.ts';

type Deps = {
  /** Whether Redis answers now. */
  pingStore(): Promise<boolean>;
  isDraining(): boolean;
};

const check = z.object({ name: z.string(), ok: z.boolean() });
const readiness = z
  .object({ status: z.enum(['ready', 'not_ready']), checks: z.array(check) })
  .meta({ id: 'Readiness' });

export function healthRoutes(deps: Deps): Routes {
  return (app) => {
    app.route({
      method: 'GET',
      url: '/livez',
      schema: {
        summary: 'Is the process alive',
        tags: ['health'],
        security: [],
        response: { 200: z.object({ status: z.literal('alive') }) },
      },
      handler: async () => ({ status: 'alive' as const }),
    });

    app.route({
      method: 'GET',
      url: '/readyz',
      schema: {
        summary: 'Can this process take work',
        description: 'Not ready while Redis is away or the process is stopping.',
        tags: ['health'],
        security: [],
        response: { 200: readiness, 503: readiness },
      },
      handler: async (_request, reply) => {
        const checks = [
          { name: 'redis', ok: await deps.pingStore() },
          { name: 'accepting', ok: !deps.isDraining() },
        ];
        const isReady = checks.every(({ ok }) => ok);
        return reply.status(isReady ? 200 : 503).send({ status: isReady ? 'ready' : 'not_ready', checks });
      },
    });
  };
}
