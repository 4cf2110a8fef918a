/** Connections of the webhook client, and what becomes of one that dies in silence. */
import { createSecureServer } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWebhookClient } from '../../src/outbound/webhook-client.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';

const opened = new AsyncDisposableStack();
const trusted = getCACertificates('default');
let certificate: Certificate;
beforeAll(async () => {
  certificate = opened.use(await makeCertificate());
  setDefaultCACertificates([...trusted, certificate.cert]);
  opened.defer(() => setDefaultCACertificates(trusted));
});
afterAll(() => opened.disposeAsync());

/** Speaks HTTP/2 to whoever asks for it, behind a relay whose connections a test can have die without a word. */
async function openRelayedHttp2() {
  const server = createSecureServer({ key: certificate.key, cert: certificate.cert, allowHTTP1: true });
  server.on('request', (request, response) => {
    request.resume();
    request.on('end', () => response.end('ok'));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const sockets = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from.on('error', () => {}));
      from.pipe(to);
    }
  });
  await new Promise<void>((listening) => relay.listen(0, '127.0.0.1', listening));
  return {
    url: `https://localhost:${(relay.address() as AddressInfo).port}/`,
    /** Nothing that is sent over what is open by now arrives any more. */
    silence() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([relay, server].map((open) => new Promise((closed) => open.close(closed))));
    },
  };
}

describe('a connection that died in silence', () => {
  it('costs the POST that was sent over it and no other, also at a host that speaks HTTP/2', async () => {
    await using target = await openRelayedHttp2();
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 1_500 });
    const post = async () => (await client.post(target.url, {}, '{}')).status;
    expect(await post()).toBe(200);
    target.silence();
    // The first may leave while the connection is still being handed back.
    expect([await post(), await post(), await post()].toSorted()).toEqual([0, 200, 200]);
  });
});
