/** The limits of the attachment client: how long a fetch may take, and how many there are at once. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { openAttachmentClient } from '../../src/outbound/attachment-client.ts';
import { faultForNow, notStopping, openFileServers } from '../support/file-server.ts';
import { until } from '../support/until.ts';

const servers = await openFileServers();
afterAll(() => servers[Symbol.asyncDispose]());
const { trusting, serve, fetchOnce } = servers;

const late = faultForNow(expect.stringMatching(/was not there whole within \d+ ms/));

const hasty = { ...trusting, deadlineMs: 300 };

describe('the deadline', () => {
  it('cuts off a body that drips', async () => {
    await using target = await serve((_, response) => {
      const drip = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(drip));
    });
    expect(await fetchOnce(target.url, 1_000_000, hasty)).toEqual(late);
    await until('the connection to be closed', () => target.sockets.size === 0);
  });

  it('cuts off a head that does not come', async () => {
    await using target = await serve(() => {});
    expect(await fetchOnce(target.url, 1_000, hasty)).toEqual(late);
  });

  it('cuts off a handshake that does not come', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const { port } = server.address() as AddressInfo;
    expect(await fetchOnce(`https://127.0.0.1:${port}/`, 1_000, hasty)).toEqual(late);
    (await connected)[0].destroy();
    await new Promise((closed) => server.close(closed));
  });

  it('or the end of the client cuts it off', async () => {
    const reached = Promise.withResolvers<void>();
    await using target = await serve(() => reached.resolve());
    const client = openAttachmentClient(trusting);
    const fetching = client.fetch(target.url, 1_000, 'transactional', notStopping);
    await reached.promise;
    await client[Symbol.asyncDispose]();
    expect(await fetching).toMatchObject({ kind: 'fault', isFinal: false });
  });
});

describe('a client with more to fetch than it may at once', () => {
  it('has four of one host at a time, lets another host in beside them, and the others as those end', async () => {
    const gates = { '127.0.0.1': Promise.withResolvers<void>(), localhost: Promise.withResolvers<void>() };
    const open = { '127.0.0.1': 0, localhost: 0 };
    const most = { ...open };
    await using target = await serve(async (request, response) => {
      const host = request.headers.host?.startsWith('localhost') ? 'localhost' : '127.0.0.1';
      open[host] += 1;
      most[host] = Math.max(most[host], open[host]);
      await gates[host].promise;
      open[host] -= 1;
      response.end('x');
    });
    await using client = openAttachmentClient(trusting);
    const fetchFrom = (host: string) =>
      client.fetch(`https://${host}:${target.port}/`, 10, 'transactional', notStopping);
    const hanging = Array.from({ length: 20 }, () => fetchFrom('127.0.0.1'));
    await until('four requests', () => open['127.0.0.1'] === 4);
    const others = Array.from({ length: 20 }, () => fetchFrom('localhost'));
    await until('two requests', () => open.localhost === 2);
    gates.localhost.resolve();
    expect((await Promise.all(others)).every(({ kind }) => kind === 'fetched')).toBe(true);
    expect(open['127.0.0.1']).toBe(4);
    gates['127.0.0.1'].resolve();
    expect((await Promise.all(hanging)).every(({ kind }) => kind === 'fetched')).toBe(true);
    expect(most).toEqual({ '127.0.0.1': 4, localhost: 2 });
  });

  it('lets one lane fetch while the other has no place left for that host', async () => {
    await using target = await serve((request, response) => {
      if (request.url !== '/held') response.end('x');
    });
    const { origin } = new URL(target.url);
    await using client = openAttachmentClient(trusting);
    const held = Array.from({ length: 20 }, () => client.fetch(`${origin}/held`, 10, 'bulk', notStopping));
    await until('its share of requests', () => target.requests.length === 4);
    expect(await client.fetch(target.url, 10, 'transactional', notStopping)).toMatchObject({ kind: 'fetched' });
    await client[Symbol.asyncDispose]();
    expect((await Promise.all(held)).every(({ kind }) => kind === 'fault')).toBe(true);
  });

  it('gives up on one whose wait was as long as a fetch may take', async () => {
    await using target = await serve(() => {});
    await using client = openAttachmentClient(hasty);
    const fetching = Array.from({ length: 5 }, () => client.fetch(target.url, 10, 'transactional', notStopping));
    const fetched = await Promise.all(fetching);
    expect(fetched.slice(0, 4)).toEqual(Array(4).fill(late));
    expect(fetched[4]).toEqual({ kind: 'put_off' });
    // On a busy machine some of the four may not even have come to ask.
    expect(target.connections).toBeLessThanOrEqual(4);
  });

  it('puts off what is under way and what waits when its process stops: neither is a fault', async () => {
    await using target = await serve(() => {});
    await using client = openAttachmentClient(trusting);
    const stop = new AbortController();
    const fetching = Array.from({ length: 6 }, () => client.fetch(target.url, 10, 'transactional', stop.signal));
    await until('its share of requests', () => target.requests.length === 4);
    stop.abort();
    expect(await Promise.all(fetching)).toEqual(Array(6).fill({ kind: 'put_off' }));
    await until('the connections to be closed', () => target.sockets.size === 0);
  });
});
