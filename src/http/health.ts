/** /livez and /readyz: is the process alive, and can it take work? */
import { z } from 'zod';
import { causeMeanings } from '../domain/fault-cause.ts';
import type { RedisStanding } from '../domain/redis-standing.ts';
import { isServing, type TransportReport } from '../domain/transport-report.ts';
import type { Pressure } from '../pipeline/check-back-pressure.ts';
import type { SeenRedis } from '../pipeline/check-redis.ts';
import { readinessExamples } from './openapi/health-examples.ts';
import type { App, Routes } from './server.ts';
import type { Transports } from './transports.ts';

type Deps = {
  /** Whether Redis answers now. */
  ping(): Promise<boolean>;
  readonly pressure: Readonly<Pressure>;
  readonly seenRedis: Readonly<SeenRedis>;
  transports: Pick<Transports, 'reportTransports'>;
  isDraining(): boolean;
  /** Whether `TRANSPORTS_FILE` is invalid now, so that its last valid content is still in use. */
  isFileWrong(): boolean;
};

const check = z.object({
  name: z.string().meta({
    description:
      'The name of the check: `redis`, `accepting`, `durability`, `load`, `transports_file` while that file is wrong, and `transport <name>` for each transport out of service.',
  }),
  ok: z.boolean().meta({ description: 'Whether the check passed.' }),
  detail: z.string().optional().meta({ description: 'What is wrong. For `durability`, what Redis guarantees.' }),
});
const liveness = z
  .object({ status: z.literal('alive').meta({ description: 'Always `alive`.' }) })
  .meta({ description: 'The process is alive.', examples: [{ status: 'alive' }] });
const readiness = z
  .object({
    status: z.enum(['ready', 'not_ready']).meta({ description: 'Whether the process should get requests.' }),
    checks: z.array(check).meta({ description: 'The checks.' }),
  })
  .meta({ id: 'Readiness', description: 'Whether the process can take work, with each check.' });

export function healthRoutes(deps: Deps): Routes {
  return (app) => {
    addLiveness(app);
    addReadiness(app, deps);
  };
}

function addLiveness(app: App): void {
  app.route({
    method: 'GET',
    url: '/livez',
    schema: {
      operationId: 'getLiveness',
      summary: 'Check that the process is alive',
      description: 'Answers as long as the process runs. It checks nothing else.',
      tags: ['health'],
      security: [],
      response: { 200: liveness },
    },
    handler: async () => ({ status: 'alive' as const }),
  });
}

function addReadiness(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/readyz',
    schema: {
      operationId: 'getReadiness',
      summary: 'Check that the process can take work',
      description: [
        'Not ready (503) while Redis is away or the process is stopping. With `REQUIRE_DURABLE_REDIS`, also while Redis may forget what was answered 202. The check `durability` says what Redis guarantees now.',
        'Other checks may fail while the process stays ready, because another process could do no better:',
        '- `load`: too much mail of a lane waits, so new mail of that lane is refused; or Redis is nearly full, so all new mail is refused.',
        '- `transports_file`: `TRANSPORTS_FILE` has become wrong. Its last valid content is still in use.',
        '- `transport <name>`: the transport is paused, in trouble or hanging. Its mail waits or goes another way.',
      ].join('\n'),
      tags: ['health'],
      security: [],
      response: { 200: readiness, 503: readiness },
      'x-examples': readinessExamples,
    },
    handler: async (_request, reply) => {
      const needed = [
        { name: 'redis', ok: await deps.ping() },
        { name: 'accepting', ok: !deps.isDraining() },
      ];
      const { standing } = deps.seenRedis;
      const { passed } = deps.pressure;
      const load = { name: 'load', ok: passed === null, ...(passed === null ? {} : { detail: passed.reason }) };
      const isReady = needed.every(({ ok }) => ok) && (standing?.unfit ?? null) === null;
      const file = deps.isFileWrong() ? [wrongFile] : [];
      // Redis may have gone away since the check: then there is nothing to say about transports.
      const transports = isReady ? await deps.transports.reportTransports().catch(() => []) : [];
      const outOfService = transports.filter((report) => !isServing(report)).map(transportCheck);
      const status = isReady ? ('ready' as const) : ('not_ready' as const);
      return reply
        .status(isReady ? 200 : 503)
        .send({ status, checks: [...needed, ...durabilityChecks(standing), load, ...file, ...outOfService] });
    },
  });
}

const wrongFile = {
  name: 'transports_file',
  ok: false,
  detail: 'TRANSPORTS_FILE is wrong, and its last valid content is still in use: the log says what is wrong',
};

function durabilityChecks(standing: RedisStanding | null) {
  if (standing === null) return [];
  const { words, isSound, unfit } = standing;
  return [{ name: 'durability', ok: isSound && unfit === null, detail: unfit ?? words }];
}

/** No key is needed here, so it says only the kind of trouble, and nothing of a server's reply. */
function transportCheck({ name, state: { paused, breaker } }: TransportReport) {
  const inTrouble =
    breaker.kind === 'open' ? causeMeanings[breaker.cause] : 'its server accepts messages but does not answer';
  return { name: `transport ${name}`, ok: false, detail: paused === null ? inTrouble : 'it is paused' };
}
