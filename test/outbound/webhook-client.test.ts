/** The webhook client: no redirects, no private networks, a bound on what it reads. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
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
  it.each(['127.0.0.1', 'localhost', '[::1]', '0x7f000001', '2130706433', '127.1', '[::ffff:127.0.0.1]'])(
    'never connects to %s',
    async (host) => {
      let connections = 0;
      await using target = await serve((_, response) => response.end());
      target.server.on('connection', () => connections++);
      await using client = openWebhookClient({ allowPrivateNetworks: false, deadlineMs: 15_000 });
      expect(await client.post(`http://${host}:${target.port}/`, {}, '{}')).toMatchObject({
        status: 0,
        detail: expect.stringContaining('private network'),
      });
      expect(connections).toBe(0);
    },
  );
});

describe('a webhook client', () => {
  it('reports a redirect and does not follow it', async () => {
    const paths: (string | undefined)[] = [];
    await using target = await serve((request, response) => {
      paths.push(request.url);
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000 });
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
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000 });
    const post = (path: string) => client.post(`http://127.0.0.1:${target.port}${path}`, {}, '{}');
    for (let n = 0; n < 10; n++) expect(await post('/')).toMatchObject({ status: 200 });
    // The second POST may leave while the first connection is still being handed back; from then on they are used again.
    expect(connections).toBeLessThanOrEqual(2);
    expect(await post('/endless')).toMatchObject({
      status: expect.toSatisfy((status: number) => status === 200 || status === 0),
    });
    expect(await post('/')).toMatchObject({ status: 200 });
  });

  it('says why nothing was answered', async () => {
    const { port } = await serve(() => {}).then(async (target) => {
      await target[Symbol.asyncDispose]();
      return target;
    });
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000 });
    expect(await client.post(`http://127.0.0.1:${port}/`, {}, '{}')).toMatchObject({
      status: 0,
      detail: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
