/** /metrics: the text that Prometheus reads. Open, as it names no address and no email. */
import { z } from 'zod';
import { problemsAlone } from './problems.ts';
import type { Routes } from './server.ts';

type MetricsDeps = {
  /** All metrics as they are now, in Prometheus' text format. */
  renderMetrics(): Promise<string>;
};

const contentType = 'text/plain; version=0.0.4; charset=utf-8';
const example = [
  '# HELP postrider_redis_up 1 while Redis answers. While it does not, the metrics that come from Redis are missing.',
  '# TYPE postrider_redis_up gauge',
  'postrider_redis_up 1',
  '',
].join('\n');

export function metricsRoutes({ renderMetrics }: MetricsDeps): Routes {
  return (app) => {
    app.route({
      method: 'GET',
      url: '/metrics',
      schema: {
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        description:
          'Counters and histograms of this process, and the waiting mail and transport states of all processes together. It also answers while Redis is away, with `postrider_redis_up 0`.',
        tags: ['health'],
        security: [],
        response: {
          200: {
            description: 'Metrics, in the text format of Prometheus.',
            content: { 'text/plain': { schema: z.string().meta({ examples: [example] }) } },
          },
          ...problemsAlone(500),
        },
      },
      handler: async (_request, reply) => {
        // The answer is plain text, not a JSON string.
        return reply
          .type(contentType)
          .serializer(String)
          .send(await renderMetrics());
      },
    });
  };
}
