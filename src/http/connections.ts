/** The Node.js servers under fastify, one for each address, and what they answer on a connection outside of any route. */
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { lateCode, makeClientErrors } from './client-errors.ts';
import { makeHalfOpenServer } from './half-open.ts';
import { type After, type LateRequests, makeLateRequests } from './late-requests.ts';

const keepAliveMs = 65_000;
/** Time in which the head of a request must arrive whole. */
const headMs = 60_000;

type Connections = Pick<LateRequests, 'letFlow'> & {
  /** Makes a server that does not listen yet. */
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
          // Set explicitly: with `requestTimeout: 0`, Node.js would otherwise turn off the limit for heads too.
          headersTimeout: headMs,
          // `lateRequests` ends slow requests instead.
          requestTimeout: 0,
          // `checkHead` refuses a request without Host, with a problem.
          requireHostHeader: false,
        },
        handle,
      );
      // Whether the client shall send its body is decided after its head was checked.
      for (const asking of ['checkContinue', 'checkExpectation'])
        server.on(asking, (request, response) => server.emit('request', request, response));
      lateRequests.watch(server);
      clientErrors.watch(server);
      return server;
    },
  };
}
