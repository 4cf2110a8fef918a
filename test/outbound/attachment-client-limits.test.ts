/** The limits of the attachment client: how long a fetch may take, and how many there are at once. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { openAttachmentClient } from '../../src/outbound/attachment-client.ts';
import { faultForNow, openFileServers } from '../support/file-server.ts';
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
    const fetching = client.fetch(target.url, 1_000, 'transactional');
    await reached.promise;
    await client[Symbol.asyncDispose]();
    expect(await fetching).toMatchObject({ kind: 'fault', isFinal: false });
  });
});

describe('a client with more to fetch than it may at once', () => {
  it('has eight at a time and lets the others in as those end', async () => {
    let open = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    await using target = await serve(async (_, response) => {
      open += 1;
      most = Math.max(most, open);
      await gate.promise;
      open -= 1;
      response.end('x');
    });
    await using client = openAttachmentClient(trusting);
    const fetching = Array.from({ length: 20 }, () => client.fetch(target.url, 10, 'transactional'));
    await until('eight requests', () => open === 8);
    gate.resolve();
    expect((await Promise.all(fetching)).every(({ kind }) => kind === 'fetched')).toBe(true);
    expect(most).toBe(8);
  });

  it('lets one lane fetch while the other has all its places taken', async () => {
    await using target = await serve((request, response) => {
      if (request.url !== '/held') response.end('x');
    });
    const { origin } = new URL(target.url);
    await using client = openAttachmentClient(trusting);
    const held = Array.from({ length: 20 }, () => client.fetch(`${origin}/held`, 10, 'bulk'));
    await until('eight requests', () => target.requests.length === 8);
    expect(await client.fetch(target.url, 10, 'transactional')).toMatchObject({ kind: 'fetched' });
    await client[Symbol.asyncDispose]();
    expect((await Promise.all(held)).every(({ kind }) => kind === 'fault')).toBe(true);
  });

  it('gives up on one whose wait was as long as a fetch may take', async () => {
    await using target = await serve(() => {});
    await using client = openAttachmentClient(hasty);
    const fetching = Array.from({ length: 9 }, () => client.fetch(target.url, 10, 'transactional'));
    const fetched = await Promise.all(fetching);
    expect(fetched.slice(0, 8)).toEqual(Array(8).fill(late));
    expect(fetched[8]).toEqual({ kind: 'busy' });
    // On a busy machine some of the eight may not even have come to ask.
    expect(target.connections).toBeLessThanOrEqual(8);
  });
});
