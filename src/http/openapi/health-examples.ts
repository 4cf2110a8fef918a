/** Examples of readiness. */
import { guarantees } from '../../domain/redis-standing.ts';
import type { RouteExamples } from './examples.ts';

const durability = {
  name: 'durability',
  ok: true,
  detail: guarantees.always,
};

/** The checks of a process that is ready. */
const well = [{ name: 'redis', ok: true }, { name: 'accepting', ok: true }, durability, { name: 'load', ok: true }];

export const readinessExamples: RouteExamples = {
  200: {
    ready: {
      summary: 'Ready',
      value: {
        status: 'ready',
        checks: well,
      },
    },
    transport_in_trouble: {
      summary: 'Ready, though a server refuses the login',
      value: {
        status: 'ready',
        checks: [...well, { name: 'transport ses', ok: false, detail: 'the server refused the login' }],
      },
    },
    transports_file_wrong: {
      summary: 'Ready, though TRANSPORTS_FILE has become wrong',
      value: {
        status: 'ready',
        checks: [
          ...well,
          {
            name: 'transports_file',
            ok: false,
            detail: 'TRANSPORTS_FILE is wrong, and its last valid content is still in use: the log says what is wrong',
          },
        ],
      },
    },
    refusing_mail: {
      summary: 'Ready, but new bulk mail is refused for now',
      value: {
        status: 'ready',
        checks: [
          { name: 'redis', ok: true },
          { name: 'accepting', ok: true },
          durability,
          {
            name: 'load',
            ok: false,
            detail: '1000214 bulk emails are waiting, the limit is 1000000 (MAX_WAITING_EMAILS)',
          },
        ],
      },
    },
  },
  503: {
    no_redis: {
      summary: 'Redis is away',
      value: {
        status: 'not_ready',
        checks: [{ name: 'redis', ok: false }, { name: 'accepting', ok: true }, durability, { name: 'load', ok: true }],
      },
    },
  },
};
