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

describe('the deadline', () => {
  const hasty = { ...trusting, deadlineMs: 300 };
  const late = faultForNow(expect.stringContaining('was not there whole within 300 ms'));

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

  it('and the caller may call a fetch off', async () => {
    const reached = Promise.withResolvers<void>();
    await using target = await serve((_, response) => {
      response.write('x');
      reached.resolve();
    });
    await using client = openAttachmentClient(trusting);
    const caller = new AbortController();
    const fetching = client.fetch(target.url, 1_000, caller.signal);
    await reached.promise;
    caller.abort();
    const calledOff = faultForNow(`https://127.0.0.1:${target.port}/a/file.pdf was called off`);
    expect(await fetching).toEqual(calledOff);
    expect(await client.fetch(target.url, 1_000, caller.signal)).toEqual(calledOff);
    expect(target.requests).toHaveLength(1);
  });

  it('or close the client', async () => {
    const reached = Promise.withResolvers<void>();
    await using target = await serve(() => reached.resolve());
    const client = openAttachmentClient(trusting);
    const fetching = client.fetch(target.url, 1_000);
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
    const fetching = Array.from({ length: 20 }, () => client.fetch(target.url, 10));
    await until('eight requests', () => open === 8);
    gate.resolve();
    expect((await Promise.all(fetching)).every(({ kind }) => kind === 'fetched')).toBe(true);
    expect(most).toBe(8);
  });

  it('does not keep one waiting for ever, and gives no place to those that left', async () => {
    const gate = Promise.withResolvers<void>();
    await using target = await serve(async (request, response) => {
      if (request.url === '/held') await gate.promise;
      response.end('x');
    });
    const { origin } = new URL(target.url);
    await using patient = openAttachmentClient(trusting);
    const held = Array.from({ length: 8 }, () => patient.fetch(`${origin}/held`, 10));
    await until('eight requests', () => target.requests.length === 8);
    const caller = new AbortController();
    const leaving = Array.from({ length: 8 }, () => patient.fetch(target.url, 10, caller.signal));
    const staying = patient.fetch(target.url, 10);
    caller.abort();
    for (const left of leaving) expect(await left).toEqual(faultForNow(expect.stringContaining('was called off')));
    gate.resolve();
    expect(await staying).toMatchObject({ kind: 'fetched' });
    expect(await Promise.all(held)).toHaveLength(8);
  });

  it('gives up on one whose wait was as long as a fetch may take', async () => {
    await using target = await serve(() => {});
    await using client = openAttachmentClient({ ...trusting, deadlineMs: 300 });
    const fetching = Array.from({ length: 9 }, () => client.fetch(target.url, 10));
    const details = (await Promise.all(fetching)).map((fetched) => (fetched.kind === 'fault' ? fetched.detail : ''));
    expect(details.slice(0, 8).every((detail) => detail.includes('within 300 ms'))).toBe(true);
    expect(details[8]).toContain('was not begun: 8 others were being fetched');
    expect(target.requests).toHaveLength(8);
  });
});
