/** What the attachment client takes for a file, and from whom; every fault says what is wrong without a secret. */
import { afterAll, describe, expect, it } from 'vitest';
import { openAttachmentClient } from '../../src/outbound/attachment-client.ts';
import { faultForGood, faultForNow, fetchBy, openFileServers } from '../support/file-server.ts';
import { startProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';

const servers = await openFileServers();
afterAll(() => servers[Symbol.asyncDispose]());
const { certificate, trusting, serve, fetchOnce } = servers;

describe('an attachment that is fetched', () => {
  it('comes with its bytes and its type, and the request says nothing but Postrider', async () => {
    await using target = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/pdf' }).end('the file');
    });
    expect(await fetchOnce(target.url)).toEqual({
      kind: 'fetched',
      content: Buffer.from('the file'),
      contentType: 'application/pdf',
    });
    expect(target.requests[0]).toMatchObject({ method: 'GET', url: '/a/file.pdf?signature=secret' });
    expect(target.requests[0]?.headers).toEqual({
      host: `127.0.0.1:${target.port}`,
      connection: 'keep-alive',
      'user-agent': 'Postrider',
      accept: '*/*',
      'accept-encoding': 'identity',
    });
  });

  it.each([
    ['empty', 0],
    ['exactly as large as is allowed', 100_000],
  ])('may be %s, with a length and in chunks', async (_, size) => {
    const file = Buffer.alloc(size, 'x');
    await using target = await serve((request, response) => {
      if (request.url === '/chunked') response.write(file.subarray(0, size / 2));
      else response.writeHead(200, { 'content-length': size });
      response.end(request.url === '/chunked' ? file.subarray(size / 2) : file);
    });
    for (const path of ['/plain', '/chunked']) {
      const fetched = await fetchOnce(new URL(path, target.url).href, 100_000);
      expect(fetched).toMatchObject({ kind: 'fetched', contentType: null });
      expect(fetched.kind === 'fetched' && fetched.content.equals(file)).toBe(true);
    }
  });

  it('uses a connection again at once, and leaves it soon', async () => {
    await using target = await serve((_, response) => response.end('x'));
    await using client = openAttachmentClient(trusting);
    for (let n = 0; n < 3; n++) expect(await fetchBy(client, { url: target.url })).toMatchObject({ kind: 'fetched' });
    // The second may leave while the first connection is still being handed back.
    expect(target.connections).toBeLessThanOrEqual(2);
    await until('the idle connection to be closed', () => target.sockets.size === 0);
  });
});

describe('a URL', () => {
  it.each([
    ['http://127.0.0.1/a?signature=secret', 'http: URL: only https is fetched'],
    ['ftp://127.0.0.1/a', 'ftp: URL: only https is fetched'],
    ['data:text/plain,secret', 'data: URL: only https is fetched'],
    ['file:///etc/passwd', 'file: URL: only https is fetched'],
    ['//127.0.0.1/a', 'is not a URL'],
    ['https://user:secret@127.0.0.1:9/a', 'https://127.0.0.1:9/a must not carry credentials'],
    ['https://secret@127.0.0.1:9/a', 'https://127.0.0.1:9/a must not carry credentials'],
  ])('%s is refused for good', async (url, why) => {
    expect(await fetchOnce(url)).toEqual(faultForGood(expect.stringContaining(why)));
  });

  it.each([301, 302, 303, 307, 308])('that redirects (%d) is refused for good and not followed', async (status) => {
    await using target = await serve((_, response) => {
      response.writeHead(status, { location: '/elsewhere' }).end();
    });
    expect(await fetchOnce(target.url)).toEqual(
      faultForGood(
        `https://127.0.0.1:${target.port}/a/file.pdf answered ${status}: redirects are refused, give the address it leads to`,
      ),
    );
    expect(target.requests).toHaveLength(1);
  });

  it.each([201, 204, 206, 400, 401, 403, 404, 410, 429, 500, 503])(
    'that answers %d may answer otherwise later',
    async (status) => {
      await using target = await serve((_, response) => {
        response.writeHead(status).end();
      });
      expect(await fetchOnce(target.url)).toEqual(
        faultForNow(`https://127.0.0.1:${target.port}/a/file.pdf answered ${status}`),
      );
    },
  );

  it('without a server may have one later: the fault is not final', async () => {
    const target = await serve(() => {});
    await target[Symbol.asyncDispose]();
    expect(await fetchOnce(target.url)).toEqual(faultForNow(expect.stringContaining('ECONNREFUSED')));
  });
});

describe('a body', () => {
  it('announced as larger than allowed is not read', async () => {
    await using target = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 1_001 }).flushHeaders();
    });
    await using client = openAttachmentClient(trusting);
    expect(await fetchBy(client, { url: target.url, maxBytes: 1_000 })).toEqual(
      faultForGood(expect.stringMatching(/is 1001 bytes, and at most 1000 bytes/)),
    );
    await until('the connection to be closed', () => target.sockets.size === 0);
  });

  it('that exceeds the allowed size is cut off there', async () => {
    let written = 0;
    await using target = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384))) written += 16_384;
      };
      response.on('drain', more);
      more();
    });
    expect(await fetchOnce(target.url, 100_000)).toEqual(
      faultForGood(expect.stringMatching(/goes on after 100000 bytes, and at most 100000 bytes/)),
    );
    await until('the connection to be closed', () => target.sockets.size === 0);
    expect(written).toBeLessThan(20_000_000);
  });

  it('that is packed is refused for good, unpacked is not', async () => {
    await using target = await serve((request, response) => {
      response.writeHead(200, { 'content-encoding': request.url?.slice(1) }).end('x');
    });
    const { origin } = new URL(target.url);
    for (const encoding of ['gzip', 'br', 'deflate', 'identity,gzip'])
      expect(await fetchOnce(`${origin}/${encoding}`)).toEqual(
        faultForGood(expect.stringContaining('Content-Encoding')),
      );
    expect(await fetchOnce(`${origin}/identity`)).toMatchObject({ kind: 'fetched' });
  });

  it('that is packed for its transfer is refused for good', async () => {
    await using target = await serve((request) => {
      request.socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n');
    });
    expect(await fetchOnce(target.url)).toEqual(faultForGood(expect.stringContaining('Transfer-Encoding')));
  });

  it.each([
    ['Content-Length: 100\r\n\r\nonly this', faultForNow(expect.stringContaining('failed'))],
    ['Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n', faultForNow(expect.stringContaining('failed'))],
    ['Connection: close\r\n\r\nonly this', faultForGood(expect.stringContaining('its end cannot be told'))],
    ['Transfer-Encoding: identity\r\n\r\nonly this', faultForGood(expect.stringContaining('Transfer-Encoding'))],
  ])('that ends early (%j) is never taken for a whole one', async (rest, expected) => {
    await using target = await serve((request) => {
      request.socket.end(`HTTP/1.1 200 OK\r\n${rest}`);
    });
    expect(await fetchOnce(target.url)).toEqual(expected);
  });

  it('without a length needs memory for little more than itself', async () => {
    // Large enough that what the garbage collector has not come to yet is small against it.
    const size = 100 * 1_024 * 1_024;
    const piece = Buffer.alloc(65_536);
    await using target = await serve((_, response) => {
      let left = size;
      const more = () => {
        let isRoom = true;
        for (; isRoom && left > 0; left -= piece.length) isRoom = response.write(piece);
        if (left === 0) response.end();
      };
      response.on('drain', more);
      more();
    });
    const script = `
      import { openAttachmentClient } from './src/outbound/attachment-client.ts';
      await using client = openAttachmentClient({ allowPrivateNetworks: true, roomBytes: 1 });
      const asked = { url: '${target.url}', lane: 'transactional', forMs: Infinity, stop: new AbortController().signal };
      const fetch = (maxBytes) => client.fetch({ ...asked, maxBytes }, async (fetched) => fetched);
      const small = await fetch(1);
      const before = process.resourceUsage().maxRSS;
      const fetched = await fetch(${size});
      console.log(small.kind, fetched.kind, fetched.content?.length, (process.resourceUsage().maxRSS - before) * 1024);`;
    await using child = startProcess(
      process.execPath,
      ['--max-semi-space-size=1', '--input-type=module', '-e', script],
      {
        env: { NODE_EXTRA_CA_CERTS: certificate.file },
      },
    );
    const [, length, grown] = await child.printed(/^fault fetched (\d+) (\d+)$/m);
    expect(Number(length)).toBe(size);
    expect(Number(grown)).toBeLessThan(1.6 * size);
  });
});

describe('TLS', () => {
  it.each([
    ['a certificate nobody vouches for', { ...trusting, ca: undefined }, '127.0.0.1', {}, /certificate/],
    ['a certificate for another host', trusting, '127.0.0.2', {}, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ] as const)('with %s is refused', async (_, options, host, server, why) => {
    await using target = await serve((_, response) => response.end('x'), server, host);
    expect(await fetchOnce(target.url, 1_000, options)).toEqual(faultForNow(expect.stringMatching(why)));
    expect(target.requests).toHaveLength(0);
  });

  it.each([
    ['an unknown certificate', { NODE_TLS_REJECT_UNAUTHORIZED: '0' }, [], {}],
    [
      'TLS 1.1',
      { NODE_EXTRA_CA_CERTS: certificate.file },
      ['--tls-min-v1.0', '--tls-cipher-list=ALL:@SECLEVEL=0'],
      { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
    ],
  ] as const)('with %s is refused even if the process is configured to accept it', async (_, env, args, server) => {
    await using target = await serve((_, response) => response.end('x'), server);
    const script = `
      import { openAttachmentClient } from './src/outbound/attachment-client.ts';
      await using client = openAttachmentClient({ allowPrivateNetworks: true, roomBytes: 1 });
      const asked = { url: '${target.url}', maxBytes: 1_000, lane: 'transactional', forMs: Infinity, stop: new AbortController().signal };
      console.log(await client.fetch(asked, async ({ kind }) => kind));`;
    await using child = startProcess(process.execPath, [...args, '--input-type=module', '-e', script], { env });
    await child.printed(/^fault$/m);
    expect(target.requests).toHaveLength(0);
  });
});

describe('a client that may not reach private networks', () => {
  it.each([
    '127.0.0.1',
    'localhost',
    '[::1]',
    '0x7f000001',
    '2130706433',
    '127.1',
    '127.0.0.1.',
    '0.0.0.0',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
  ])('never connects to %s', async (host) => {
    await using target = await serve((_, response) => response.end('x'));
    const options = { ...trusting, allowPrivateNetworks: false };
    expect(await fetchOnce(`https://${host}:${target.port}/?signature=secret`, 1_000, options)).toEqual(
      faultForGood(expect.stringContaining('is in a private network')),
    );
    expect(target.connections).toBe(0);
  });
});
