/** The limits of the attachment client: how long a fetch may take, and how many there are at once. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import type { Fetched } from '../../src/domain/attachment.ts';
import { openAttachmentClient } from '../../src/outbound/attachment-client.ts';
import { faultForNow, fetchBy, openFileServers, usual } from '../support/file-server.ts';
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

  it('ends a fetch before the timers of the HTTP client do, whenever it began', async () => {
    await using target = await serve((request, response) => {
      if (request.url !== '/held') response.end('x');
    });
    // The timers of the HTTP client tick every half second: of those that begin between two ticks most would go off early.
    await using client = openAttachmentClient({ ...trusting, deadlineMs: 1_990 });
    const held: Promise<Fetched>[] = [];
    for (let n = 0; n < 40; n++) {
      if (n % 10 === 0) held.push(fetchBy(client, { url: `${new URL(target.url).origin}/held` }));
      await fetchBy(client, { url: `https://localhost:${target.port}/` });
    }
    expect(await Promise.all(held)).toEqual(Array(4).fill(late));
  });

  it('or the end of the client cuts it off', async () => {
    const reached = Promise.withResolvers<void>();
    await using target = await serve(() => reached.resolve());
    const client = openAttachmentClient(trusting);
    const fetching = fetchBy(client, { url: target.url, maxBytes: 1_000 });
    await reached.promise;
    await client[Symbol.asyncDispose]();
    expect(await fetching).toMatchObject({ kind: 'fault', isFinal: false });
  });
});

describe('a client with more to fetch than it may at once', () => {
  it('fetches four files of one host at a time, lets in another host meanwhile, and the others as those end', async () => {
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
    const fetchFrom = (host: string) => fetchBy(client, { url: `https://${host}:${target.port}/` });
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

  it('keeps the place of a file until it is stored: while that takes long, no more files come', async () => {
    await using target = await serve((_, response) => response.end('x'));
    await using client = openAttachmentClient(trusting);
    const stored = Promise.withResolvers<void>();
    const inHand: string[] = [];
    const asked = { ...usual, url: target.url };
    const storing = Array.from({ length: 20 }, () =>
      client.fetch(asked, async ({ kind }) => {
        inHand.push(kind);
        await stored.promise;
      }),
    );
    await until('four in hand', () => inHand.length === 4);
    // By then a fifth would have been asked for as well.
    await fetchOnce(target.url);
    expect(target.requests).toHaveLength(5);
    stored.resolve();
    await Promise.all(storing);
    expect(inHand).toEqual(Array(20).fill('fetched'));
  });

  it('gives back the place of a file that could not be stored', async () => {
    await using target = await serve((_, response) => response.end('x'));
    await using client = openAttachmentClient(trusting);
    const asked = { ...usual, url: target.url };
    for (let n = 0; n < 5; n++)
      await expect(client.fetch(asked, () => Promise.reject(new Error('full')))).rejects.toThrow('full');
    expect(await fetchBy(client, { url: target.url })).toMatchObject({ kind: 'fetched' });
  });

  it('lets one lane fetch while the other has no place left for that host', async () => {
    await using target = await serve((request, response) => {
      if (request.url !== '/held') response.end('x');
    });
    const { origin } = new URL(target.url);
    await using client = openAttachmentClient(trusting);
    const held = Array.from({ length: 20 }, () => fetchBy(client, { url: `${origin}/held`, lane: 'bulk' }));
    await until('its share of requests', () => target.requests.length === 4);
    expect(await fetchBy(client, { url: target.url })).toMatchObject({ kind: 'fetched' });
    await client[Symbol.asyncDispose]();
    expect((await Promise.all(held)).every(({ kind }) => kind === 'fault')).toBe(true);
  });

  it('gives up on one whose wait was as long as a fetch may take', async () => {
    await using target = await serve(() => {});
    await using client = openAttachmentClient(hasty);
    const fetching = Array.from({ length: 5 }, () => fetchBy(client, { url: target.url }));
    const fetched = await Promise.all(fetching);
    expect(fetched.slice(0, 4)).toEqual(Array(4).fill(late));
    expect(fetched[4]).toEqual({ kind: 'put_off' });
    // On a busy machine some of the four may not even have come to ask.
    expect(target.connections).toBeLessThanOrEqual(4);
  });

  it('puts off running and waiting fetches when its process stops: neither is a fault', async () => {
    await using target = await serve(() => {});
    await using client = openAttachmentClient(trusting);
    const stop = new AbortController();
    const fetching = Array.from({ length: 6 }, () => fetchBy(client, { url: target.url, stop: stop.signal }));
    await until('its share of requests', () => target.requests.length === 4);
    stop.abort();
    expect(await Promise.all(fetching)).toEqual(Array(6).fill({ kind: 'put_off' }));
    await until('the connections to be closed', () => target.sockets.size === 0);
  });
});

describe('a file that is wanted for some time only', () => {
  it('is put off when that is over, whether it was under way or waited for its turn: that is no fault', async () => {
    await using target = await serve(() => {});
    await using client = openAttachmentClient(trusting);
    const fetching = Array.from({ length: 6 }, () => fetchBy(client, { url: target.url, forMs: 300 }));
    expect(await Promise.all(fetching)).toEqual(Array(6).fill({ kind: 'put_off' }));
    await until('the connections to be closed', () => target.sockets.size === 0);
  });
});

describe('a client whose room in memory is full', () => {
  const large = 2_000_000;
  const tight = { ...trusting, roomBytes: 5_000_000 };

  /** `/large/known` says its length, `/large` does not, and any other is small. */
  const serveSizes = () =>
    serve((request, response) => {
      if (request.url === '/large/known') response.setHeader('content-length', large);
      response.end(request.url?.startsWith('/large') ? Buffer.alloc(large, 'x') : 'x');
    });

  it.each(['/large', '/large/known'])(
    'takes no large file (%s) before there is room, and small ones meanwhile',
    async (path) => {
      await using target = await serveSizes();
      await using client = openAttachmentClient(tight);
      const { origin } = new URL(target.url);
      const stored = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const inHand: Fetched[] = [];
      const asked = { ...usual, url: origin + path, maxBytes: large };
      const storing = stored.map(({ promise }) =>
        client.fetch(asked, async (fetched) => {
          inHand.push(fetched);
          await promise;
        }),
      );
      await until(
        'one in hand, and the other at its server',
        () => inHand.length === 1 && target.requests.length === 2,
      );
      expect(await fetchBy(client, { url: `${origin}/small` })).toMatchObject({ kind: 'fetched' });
      const other = `https://localhost:${target.port}${path}`;
      expect(await fetchBy(client, { url: other, maxBytes: large })).toMatchObject({ kind: 'fetched' });
      expect(inHand).toHaveLength(1);
      stored[0]?.resolve();
      stored[1]?.resolve();
      await Promise.all(storing);
      expect(inHand.map((one) => one.kind === 'fetched' && one.content.length)).toEqual([large, large]);
    },
  );

  it('puts off a file that had no room for as long as a fetch may take: that is no fault', async () => {
    await using target = await serveSizes();
    await using client = openAttachmentClient({ ...tight, deadlineMs: 1_000 });
    const asked = { ...usual, url: `${new URL(target.url).origin}/large`, maxBytes: large };
    const stored = Promise.withResolvers<void>();
    const first = Promise.withResolvers<void>();
    const storing = client.fetch(asked, async () => {
      first.resolve();
      await stored.promise;
    });
    await first.promise;
    expect(await fetchBy(client, asked)).toEqual({ kind: 'put_off' });
    await until('its connection to be closed', () => target.sockets.size <= 1);
    stored.resolve();
    await storing;
    expect(await fetchBy(client, asked)).toMatchObject({ kind: 'fetched' });
  });

  /** One file has all the room that its host may have, until `end`; `/broken` begins to come meanwhile, and ends as a test says. */
  async function openCrowded(sent: number, deadlineMs = 30_000) {
    await using opened = new AsyncDisposableStack();
    const begun = Promise.withResolvers<Socket>();
    const target = await serve((request, response) => {
      response.setHeader('content-length', large);
      if (request.url !== '/broken') return response.end(Buffer.alloc(large, 'x'));
      response.write(Buffer.alloc(sent, 'x'), () => begun.resolve(request.socket));
    });
    opened.use(target);
    const client = opened.use(openAttachmentClient({ ...tight, deadlineMs }));
    const fetchFrom = (host: string, path: string) =>
      fetchBy(client, { url: `https://${host}:${target.port}/${path}`, maxBytes: large });
    const inHand = Promise.withResolvers<void>();
    const stored = Promise.withResolvers<void>();
    const first = client.fetch({ ...usual, url: target.url, maxBytes: large }, () => {
      inHand.resolve();
      return stored.promise;
    });
    await inHand.promise;
    const broken = fetchFrom('127.0.0.1', 'broken');
    const socket = await begun.promise;
    const end = () => {
      stored.resolve();
      return first;
    };
    const kept = opened.move();
    return { socket, broken, end, fetchFrom, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  }

  /** All that was sent is read before room is asked for, or some of it only once there is some. */
  it.each([1_060_000, 1_900_000])(
    'puts off one whose server closes after %i bytes, as it was not read from for so long: that is no fault',
    async (sent) => {
      await using crowded = await openCrowded(sent);
      // By the time that this is there, the other waits for room.
      await crowded.fetchFrom('localhost', 'other');
      const closed = once(crowded.socket, 'close');
      crowded.socket.destroySoon();
      await closed;
      await crowded.end();
      expect(await crowded.broken).toEqual({ kind: 'put_off' });
    },
  );

  it('counts one whose server hangs once there is room', async () => {
    await using crowded = await openCrowded(1_900_000, 2_000);
    await crowded.fetchFrom('localhost', 'other');
    await crowded.end();
    expect(await crowded.broken).toEqual(late);
  });
});
