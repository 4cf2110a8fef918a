/** The webhook client: no redirects, no private networks, a bound on what it reads. */

import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import { openWebhookClient } from '../../src/outbound/webhook-client.ts';

async function serve(answer: RequestListener): Promise<AsyncDisposable & { port: number; server: Server }> {
  const server = createServer(answer);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    server,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

describe('a webhook client that may not reach private networks', () => {
  it.each([
    ...['127.0.0.1', 'localhost', 'localhost.', 'LOCALHOST', '127.0.0.1.', '0', '0.0.0.0'],
    ...[
      '0x7f000001',
      '2130706433',
      '127.1',
      '0177.0.0.1',
      '017700000001',
      '0x7f.0.0.0x1',
      '127.000.000.001',
      '%31%32%37.1',
      '１２７.1',
    ],
    ...[
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[::127.0.0.1]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
    ],
  ])('never connects to %s', async (host) => {
    let connections = 0;
    await using target = await serve((_, response) => response.end());
    target.server.on('connection', () => connections++);
    await using client = openWebhookClient({ allowPrivateNetworks: false, deadlineMs: 15_000, now: monotonicNow });
    expect(await client.post(`http://${host}:${target.port}/`, {}, '{}')).toMatchObject({
      status: 0,
      detail: expect.stringMatching(/private network|ENOTFOUND: getaddrinfo ENOTFOUND localhost\.$/),
    });
    expect(connections).toBe(0);
  });

  it('refuses an address with a zone, which no URL has', async () => {
    await using client = openWebhookClient({ allowPrivateNetworks: false, deadlineMs: 15_000, now: monotonicNow });
    expect(await client.post('http://[fe80::1%25lo]/', {}, '{}')).toMatchObject({ status: 0 });
  });
});

describe('a webhook client', () => {
  it('sends a hundred POSTs over as many connections as were needed at a time', async () => {
    let connections = 0;
    await using target = await serve((_, response) => response.end('ok'));
    target.server.on('connection', () => connections++);
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    const url = `http://127.0.0.1:${target.port}/`;
    for (let n = 0; n < 20; n++) await Promise.all(Array.from({ length: 5 }, () => client.post(url, {}, '{}')));
    expect(connections).toBeLessThanOrEqual(10);
  });

  it('gives up at its deadline, whether the connection, the head or the rest of an answer does not come', async () => {
    await using silent = await serve(() => {});
    await using trickling = await serve((_, response) => {
      response.writeHead(200);
      response.write('a');
    });
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 300, now: monotonicNow });
    const post = (port: number) => client.post(`http://127.0.0.1:${port}/`, {}, '{}');
    expect(await post(silent.port)).toMatchObject({ status: 0, body: null, detail: 'no answer within 0.3 s' });
    // The status had come: the event has arrived.
    expect(await post(trickling.port)).toMatchObject({ status: 200, body: 'a', isWhole: false });
  });

  it('waits a second for the rest of an answer, as its head has said whether the event arrived', async () => {
    await using trickling = await serve((_, response) => {
      response.writeHead(200);
      response.write('a');
    });
    // Longer than a test may last.
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 600_000, now: monotonicNow });
    expect(await client.post(`http://127.0.0.1:${trickling.port}/`, {}, '{}')).toMatchObject({
      ...{ status: 200, detail: null, body: 'a', isWhole: false },
    });
  });

  it.each([
    ['102 Processing', 200],
    ['103 Early Hints', 200],
    // The HTTP client ends a connection on which somebody goes on with a request that did not ask for it.
    ['100 Continue', 0],
  ])('takes an answer 200 after %s for %i', async (first, status) => {
    await using target = await serve(({ socket }) => {
      socket.end(`HTTP/1.1 ${first}\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`);
    });
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    expect(await client.post(`http://127.0.0.1:${target.port}/`, {}, '{}')).toMatchObject({ status });
  });

  it('passes on the answer: its first 16 KB and Retry-After', async () => {
    await using target = await serve((_, response) => {
      response.writeHead(503, { 'retry-after': '120' }).end('x'.repeat(20_000));
    });
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    expect(await client.post(`http://127.0.0.1:${target.port}/`, {}, '{}')).toMatchObject({
      ...{ status: 503, detail: 'answered 503', body: 'x'.repeat(16_384), isWhole: false, retryAfter: '120' },
    });
  });
  it('reports a redirect and does not follow it', async () => {
    const paths: (string | undefined)[] = [];
    await using target = await serve((request, response) => {
      paths.push(request.url);
      response.writeHead(307, { location: 'http://169.254.169.254/latest/meta-data' }).end();
    });
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    expect(await client.post(`http://127.0.0.1:${target.port}/first`, {}, '{}')).toMatchObject({
      status: 307,
      detail: 'answered 307',
    });
    expect(paths).toEqual(['/first']);
  });

  it('keeps its connection, and is not held up by an endless answer', async () => {
    let connections = 0;
    await using target = await serve((request, response) => {
      response.writeHead(200);
      if (request.url !== '/endless') return response.end('ok');
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
      return response;
    });
    target.server.on('connection', () => connections++);
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    const post = (path: string) => client.post(`http://127.0.0.1:${target.port}${path}`, {}, '{}');
    for (let n = 0; n < 10; n++) expect(await post('/')).toMatchObject({ status: 200 });
    // The second POST may leave while the first connection is still being handed back; from then on they are used again.
    expect(connections).toBeLessThanOrEqual(2);
    expect(await post('/endless')).toMatchObject({
      status: expect.toSatisfy((status: number) => status === 200 || status === 0),
    });
    expect(await post('/')).toMatchObject({ status: 200 });
  });

  it('says in one line that the endpoint has no TLS', async () => {
    await using target = await serve((_, response) => response.end());
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    expect(await client.post(`https://127.0.0.1:${target.port}/`, {}, '{}')).toMatchObject({
      status: 0,
      detail: 'ERR_SSL_WRONG_VERSION_NUMBER: SSL routines: wrong version number',
    });
  });

  it('says why nothing was answered', async () => {
    const { port } = await serve(() => {}).then(async (target) => {
      await target[Symbol.asyncDispose]();
      return target;
    });
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    expect(await client.post(`http://127.0.0.1:${port}/`, {}, '{}')).toMatchObject({
      status: 0,
      detail: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
