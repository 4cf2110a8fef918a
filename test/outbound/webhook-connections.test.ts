/** Connections of the webhook client: what becomes of one that dies in silence, and of a host that not every network leads to. */

import { promises } from 'node:dns';
import { createSecureServer } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import { openWebhookClient } from '../../src/outbound/webhook-client.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { startProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';

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
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 1_500, now: monotonicNow });
    const post = async () => (await client.post(target.url, {}, '{}')).status;
    expect(await post()).toBe(200);
    target.silence();
    // The first may leave while the connection is still being handed back.
    expect([await post(), await post(), await post()].toSorted()).toEqual([0, 200, 200]);
  });
});

/** A server that no connection reaches before it is resumed: its queue is full, and what is sent to open one more is dropped. */
async function openBusyServer() {
  await using starting = new AsyncDisposableStack();
  const script = `
    const server = require('node:http').createServer((_, response) => response.end('ok'));
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log('port', server.address().port));`;
  const child = starting.use(startProcess(process.execPath, ['-e', script]));
  const port = Number((await child.printed(/port (\d+)/))[1]);
  child.kill('SIGSTOP');
  const sockets = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  starting.defer(() => sockets.forEach((socket) => void socket.destroy()));
  await Promise.any(sockets.map((socket) => new Promise<void>((open) => socket.once('connect', open))));
  const all = starting.move();
  return { port, resume: () => child.kill('SIGCONT'), [Symbol.asyncDispose]: () => all.disposeAsync() };
}

describe('a host with addresses of both families', () => {
  it('with one address out of reach is reached over the other, also when that takes a second', async () => {
    // The other family is refused at once.
    const resolve = vi.spyOn(promises.Resolver.prototype, 'resolve4').mockResolvedValue(['127.0.0.1']);
    const resolve6 = vi.spyOn(promises.Resolver.prototype, 'resolve6').mockResolvedValue(['::1']);
    using _ = { [Symbol.dispose]: () => [resolve, resolve6].forEach((spy) => void spy.mockRestore()) };
    await using target = await openBusyServer();
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    const posted = client.post(`http://receiver.test:${target.port}/`, {}, '{}');
    await until('the name to be looked up', () => resolve.mock.calls.length === 1);
    for (let turns = 0; turns < 10; turns++) await turn();
    target.resume();
    expect(await posted).toMatchObject({ status: 200 });
  });
});
