/** Composition of the health and metrics server of a worker without the API. */
import packageJson from '../package.json' with { type: 'json' };
import type { Common } from './app.ts';
import { newId, now } from './chance.ts';
import { healthRoutes } from './http/health.ts';
import { metricsRoutes } from './http/metrics.ts';
import { buildServer, closeServer } from './http/server.ts';
import { collectLevels } from './pipeline/collect-levels.ts';
import { reportTransports } from './pipeline/report-transports.ts';
import { openDeliverQueues } from './queue/deliver-queue.ts';
import { queuePrefix } from './store/keys.ts';
import { isRedisTrouble } from './store/redis.ts';

type Health = {
  /** @returns where it listens */
  listen(port: number | undefined): Promise<string>;
};

/** Opened before the workers, so that it answers until their stop has ended. It listens once they are open. */
export async function openHealth({
  config,
  report,
  meters,
  apiKey,
  plans,
  seenRedis,
  stopping,
  deadline,
  connect,
  openStore,
  opened,
}: Common): Promise<Health> {
  const store = await openStore(await connect('fail_fast'));
  const deliverQueues = opened.use(
    openDeliverQueues({ redis: await connect('fail_fast', 'queue'), prefix: queuePrefix }),
  );
  const deps = { ...store, plans, now };
  const collecting = collectLevels.bind(null, {
    ...deps,
    ...config.feeding,
    deliverQueues,
    onTrouble: report.trouble,
  });
  // Only the API refuses new mail.
  const pressure = { passed: null };
  const server = await buildServer({
    ...store,
    pressure,
    now,
    open: [
      healthRoutes({
        ping: store.ping,
        seenRedis,
        pressure,
        transports: { reportTransports: reportTransports.bind(null, deps) },
        isDraining: () => stopping.aborted,
        isFileWrong: () => plans.isFileWrong,
      }),
      metricsRoutes({ renderMetrics: async () => meters.render(await collecting()) }),
    ],
    api: [],
    version: packageJson.version,
    adminToken: apiKey,
    isDraining: () => stopping.aborted,
    newRequestId: () => newId('rq'),
    isStoreTrouble: isRedisTrouble,
    onBug: report.bug,
    report: report.request,
  });
  opened.defer(() => closeServer(server, deadline.begin()));
  return { listen: (port = 0) => server.listen({ host: config.HOST, port }) };
}
