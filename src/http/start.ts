/**
 * The server that answers while the start waits for Redis: the process lives and takes no work yet. It closes before the API listens on its
 * port.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { localUrl } from '../domain/local-url.ts';
import { makeProblem } from '../domain/problem.ts';
import { makeHalfOpenServer } from './half-open.ts';
import { problemTypeFor } from './problem-media.ts';

type StartServer = AsyncDisposable & {
  /** The URL it listens at. */
  readonly url: string;
};

type Deps = {
  readonly host: string;
  readonly port: number;
  /** The metrics that are known without Redis, in Prometheus' text format. */
  renderMetrics(): Promise<string>;
};

const retryAfterSeconds = '2';
const json = 'application/json; charset=utf-8';
const alive = JSON.stringify({ status: 'alive' });
const notReady = JSON.stringify({
  status: 'not_ready',
  checks: [
    { name: 'redis', ok: false, detail: 'it loads its data, or cannot be reached: the start waits for it' },
    { name: 'accepting', ok: false },
  ],
});

/** @throws when the port is taken */
export async function openStartServer({ host, port, renderMetrics }: Deps): Promise<StartServer> {
  const server = makeHalfOpenServer({}, (request, response) => void answer(request, response, renderMetrics));
  server.listen(port, host);
  await once(server, 'listening');
  return {
    url: localUrl(host, (server.address() as AddressInfo).port),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  { url = '/', headers }: IncomingMessage,
  response: ServerResponse,
  renderMetrics: Deps['renderMetrics'],
) {
  // A connection kept alive would be cut when this server closes, and the next request on it would be lost.
  response.setHeader('connection', 'close');
  const [path = '/'] = url.split('?');
  if (path === '/livez') return void response.writeHead(200, { 'content-type': json }).end(alive);
  if (path === '/readyz') return void response.writeHead(503, { 'content-type': json }).end(notReady);
  if (path === '/metrics') {
    const text = await renderMetrics();
    return void response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
  }
  const problem = makeProblem('service_unavailable', 'The service starts, and waits for its store. Try again', path);
  response
    .writeHead(problem.status, {
      'content-type': problemTypeFor(headers.accept),
      vary: 'accept',
      'retry-after': retryAfterSeconds,
    })
    .end(JSON.stringify(problem));
}
