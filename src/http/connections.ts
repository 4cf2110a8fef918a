/** The servers of Node.js under fastify, which has one for each address it listens at, and what is said on their connections beside the answers of routes. */
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { lateCode, makeClientErrors } from './client-errors.ts';
import { makeHalfOpenServer } from './half-open.ts';
import { type After, type LateRequests, makeLateRequests } from './late-requests.ts';

const keepAliveMs = 65_000;
/** For a head to come whole. */
const headMs = 60_000;

export type Connections = Pick<LateRequests, 'letFlow'> & {
  /** Made, and not listening yet. */
  makeServer(handle: RequestListener): Server;
};

export function makeConnections(later?: After): Connections {
  const clientErrors = makeClientErrors();
  const onLate = ({ socket }: IncomingMessage) =>
    clientErrors.answer(Object.assign(new Error('late'), { code: lateCode }), socket);
  const lateRequests = makeLateRequests(onLate, later);
  return {
    letFlow: lateRequests.letFlow,
    makeServer(handle) {
      const server = makeHalfOpenServer(
        {
          keepAliveTimeout: keepAliveMs,
          // Said here, as without it Node.js takes the lack of a `requestTimeout` for that of one for heads.
          headersTimeout: headMs,
          // They are ended by `lateRequests`.
          requestTimeout: 0,
          // `checkHead` says so as a problem.
          requireHostHeader: false,
        },
        handle,
      );
      // Whether a body is to come is known once its head was looked at.
      for (const asking of ['checkContinue', 'checkExpectation'])
        server.on(asking, (request, response) => server.emit('request', request, response));
      lateRequests.watch(server);
      clientErrors.watch(server);
      return server;
    },
  };
}
