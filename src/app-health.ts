/** Composition of what a worker without the API shows of itself: whether it lives and whether it is ready, for whoever runs it. */
import packageJson from '../package.json' with { type: 'json' };
import type { Ground } from './app.ts';
import { newId, now } from './chance.ts';
import { healthRoutes } from './http/health.ts';
import { buildServer } from './http/server.ts';
import { survey } from './pipeline/survey.ts';
import { isRedisTrouble } from './store/redis.ts';

export type Health = {
  /** @returns where it listens */
  listen(port: number | undefined): Promise<string>;
};

/** Opened before the workers, so that it tells of their stop to its end; it listens once they are there. */
export async function openHealth({
  config,
  report,
  apiKey,
  plans,
  seenRedis,
  stopping,
  connect,
  openStore,
  opened,
}: Ground): Promise<Health> {
  const store = await openStore(await connect('fail_fast'));
  const { transportStates, allotments, budgets } = store;
  // New mail is refused by the API alone.
  const pressure = { overLine: null };
  const server = await buildServer({
    ...store,
    pressure,
    now,
    open: [
      healthRoutes({
        ping: store.ping,
        seenRedis,
        pressure,
        transports: { survey: survey.bind(null, { plans, transportStates, allotments, budgets, now }) },
        isDraining: () => stopping.aborted,
      }),
    ],
    api: [],
    version: packageJson.version,
    adminToken: apiKey,
    newRequestId: () => newId('rq'),
    isStoreTrouble: isRedisTrouble,
    onBug: report.bug,
    report: report.request,
  });
  opened.defer(() => server.close());
  return { listen: (port = 0) => server.listen({ host: config.HOST, port }) };
}
