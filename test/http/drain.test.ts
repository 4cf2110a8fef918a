/** A server that stops: what has come is answered and says that its connection ends, and nothing that hangs holds up the stop. */
import { Agent, get, type IncomingMessage, request } from 'node:http';
import { expect, it } from 'vitest';
import { closeServer, type Routes } from '../../src/http/server.ts';
import { buildTestServer } from '../support/http-server.ts';
import { until } from '../support/until.ts';

async function open(routes: Routes) {
  const life = { isDraining: false };
  const app = await buildTestServer({ open: [routes], isDraining: () => life.isDraining });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const stop = (over: AbortSignal) => {
    life.isDraining = true;
    return closeServer(app, over);
  };
  return { url, stop, server: app.server };
}

const ask = (url: string, agent: Agent) =>
  new Promise<IncomingMessage>((resolve, reject) => get(url, { agent }, resolve).on('error', reject));

/** Read to its end without an iterator, which would close the connection by itself. */
function textOf(answer: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    answer.on('end', () => resolve(text));
  });
}

/** Only what is closed for its own sake is closed. */
const { signal: never } = new AbortController();

it('a request in hand is answered during a stop, with Connection: close', async () => {
  const gate = Promise.withResolvers<void>();
  let inHand = 0;
  const { url, stop } = await open((app) =>
    app.route({
      method: 'GET',
      url: '/held',
      handler: async () => {
        inHand += 1;
        await gate.promise;
        return 'done';
      },
    }),
  );
  using agent = disposable(new Agent({ keepAlive: true }));
  const asked = ask(`${url}/held`, agent);
  await until('it to be in hand', () => inHand === 1);
  const stopped = stop(never);
  gate.resolve();
  const answer = await asked;
  expect([answer.statusCode, answer.headers.connection]).toEqual([200, 'close']);
  expect(await textOf(answer)).toBe('done');
  await stopped;
});

it('an answer that began before the stop ends it no later than its own end', async () => {
  const gate = Promise.withResolvers<void>();
  const { url, stop, server } = await open((app) =>
    app.route({
      method: 'GET',
      url: '/stream',
      handler: async (_request, reply) => {
        reply.hijack();
        reply.raw.write('begun ');
        await gate.promise;
        reply.raw.end('ended');
      },
    }),
  );
  using agent = disposable(new Agent({ keepAlive: true }));
  const answer = await ask(`${url}/stream`, agent);
  expect(answer.headers.connection).toBe('keep-alive');
  const stopped = stop(never);
  await until('nobody to be let in any more', () => !server.listening);
  gate.resolve();
  expect(await textOf(answer)).toBe('begun ended');
  await stopped;
});

it('an upload that hangs is cut off once the time is over', async () => {
  const { url, stop } = await open((app) =>
    app.route({ method: 'POST', url: '/upload', handler: async ({ body }) => body }),
  );
  const headers = { 'content-type': 'application/json', 'content-length': '100' };
  const upload = request(`${url}/upload`, { method: 'POST', headers });
  const cut = new Promise<Error>((resolve) => upload.on('error', resolve));
  await new Promise<void>((sent) => upload.write('{', () => sent()));
  await stop(AbortSignal.abort());
  expect(await cut).toMatchObject({ code: 'ECONNRESET' });
});

function disposable(agent: Agent): Agent & Disposable {
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() });
}
