/** Connections that go wrong, over real sockets: who hangs is let go, and nothing is said into the answer of somebody else. */
import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it } from 'vitest';
import { makeConnections } from '../../src/http/connections.ts';
import { openOutlet } from '../../src/http/sse.ts';
import { until } from '../support/until.ts';

/** A server, and a client of it that never ends its own half of the connection. */
async function open(handle: RequestListener = () => {}) {
  const exchanges: { request: IncomingMessage; response: ServerResponse }[] = [];
  const timers: (() => void)[] = [];
  const { makeServer } = makeConnections((_ms, run) => {
    timers.push(run);
    return () => {};
  });
  const server = makeServer((request, response) => {
    exchanges.push({ request, response });
    handle(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  const seen = { text: '', isEnded: false };
  socket.setEncoding('latin1').on('error', () => {});
  socket.on('data', (part) => {
    seen.text += part;
  });
  for (const event of ['end', 'close'] as const)
    socket.on(event, () => {
      seen.isEnded = true;
    });
  return {
    ...{ exchanges, seen, socket },
    /** What the client was told, once there is no more to come. */
    async told(): Promise<string> {
      await until('the end', () => seen.isEnded);
      return seen.text;
    },
    passTime: () => void timers.splice(0).forEach((run) => void run()),
    /** Until the server has let go of it, whatever its client does. */
    async letGo(): Promise<void> {
      const count = () => new Promise<number>((resolve) => server.getConnections((_error, open) => resolve(open)));
      await until('the connection to be let go', async () => (await count()) === 0);
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const get = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n';
const junk = 'JUNK\x00\r\n\r\n';

it('a late request gets a 408, nothing more of it is read, and its connection ends although the client hangs', async () => {
  await using slow = await open();
  slow.socket.write(`${post}abc`);
  const { request } = await until('the request', () => slow.exchanges[0]);
  slow.passTime();
  expect(await slow.told()).toMatch(/^HTTP\/1\.1 408 .*"name":"request_timeout"/s);
  slow.socket.write('defghi');
  await slow.letGo();
  expect([request.complete, request.destroyed]).toEqual([false, true]);
});

it('a late request gets an answer that says so, in the type that it asks for', async () => {
  await using slow = await open();
  slow.socket.write(post.replace('host: a', 'host: a\r\naccept: application/json'));
  await until('the request', () => slow.exchanges[0]);
  slow.passTime();
  expect(await slow.told()).toMatch(/^HTTP\/1\.1 408 .*\r\ncontent-type: application\/json\r\nvary: accept\r\n/is);
});

it.each([
  ['before a request', junk],
  ['in the body of one', `${post.replace('content-length: 9', 'transfer-encoding: chunked')}zz\r\n`],
])(
  'bytes that are not HTTP get an answer that says so, and the connection ends though its client hangs: %s',
  async (_, bytes) => {
    await using broken = await open();
    broken.socket.write(bytes);
    expect(await broken.told()).toMatch(/^HTTP\/1\.1 400 .*"name":"unreadable_request"/s);
    await broken.letGo();
  },
);

it('a head that does not end has a minute', () => {
  expect(makeConnections().makeServer(() => {}).headersTimeout).toBe(60_000);
});

it('bytes after a request that are not HTTP get their 400 after the answer to that request', async () => {
  await using both = await open();
  both.socket.write(`${post}abcdefghi${junk}`);
  const { response } = await until('the request', () => both.exchanges[0]);
  both.socket.write(junk);
  response.end('taken');
  expect((await both.told()).match(/HTTP\/1\.1 \d+|taken/g)).toEqual(['HTTP/1.1 200', 'taken', 'HTTP/1.1 400']);
  await both.letGo();
});

it('an answer in progress gets no error text: the connection ends', async () => {
  await using stream = await open((_request, response) => void response.write('begun'));
  stream.socket.write(get);
  await until('the answer', () => stream.seen.text.includes('begun'));
  const before = stream.seen.text;
  stream.socket.write(junk);
  expect(await stream.told()).toBe(before);
  await stream.letGo();
});

it('a request answered before its body came gets no second answer when the body is late', async () => {
  await using refused = await open((_request, response) => void response.writeHead(401).end());
  refused.socket.write(post);
  await until('the answer', () => refused.seen.text.includes('HTTP/1.1 401'));
  const before = refused.seen.text;
  refused.passTime();
  expect(await refused.told()).toBe(before);
  await refused.letGo();
});

/** The server knows by now that its client sends no more. */
async function halfClosed({ exchanges }: Awaited<ReturnType<typeof open>>): Promise<ServerResponse> {
  const { request, response } = await until('the request', () => exchanges[0]);
  await until('the end of what it sends', () => request.socket.readableEnded);
  return response;
}

it('a client that sends no more after its request is answered, however long that takes, and then let go', async () => {
  await using waiting = await open();
  waiting.socket.end(`${post}abcdefghi${get}`);
  (await halfClosed(waiting)).end('taken');
  (await until('the other', () => waiting.exchanges[1])).response.end('given');
  expect((await waiting.told()).match(/HTTP\/1\.1 \d+|taken|given/g)).toEqual([
    ...['HTTP/1.1 200', 'taken'],
    ...['HTTP/1.1 200', 'given'],
  ]);
  await waiting.letGo();
});

it('a client that ends its half of the connection in the middle of a request gets a 400', async () => {
  await using broken = await open();
  broken.socket.end(`${post}abc`);
  expect(await broken.told()).toMatch(/^HTTP\/1\.1 400 .*"name":"unreadable_request"/s);
  await broken.letGo();
});

it('a stream of events ends with what its reader sends', async () => {
  await using stream = await open((_request, response) => void openOutlet(response, {}, 60_000));
  stream.socket.write(get);
  await until('the answer', () => stream.seen.text.includes('text/event-stream'));
  stream.socket.end();
  await stream.letGo();
});

it('a stream of events does not begin for a reader that has left', async () => {
  await using stream = await open();
  stream.socket.end(get);
  expect(openOutlet(await halfClosed(stream), {}, 60_000).gone.aborted).toBe(true);
  await stream.letGo();
});
