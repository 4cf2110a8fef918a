/** Nobody here retries: whatever a server answers, or does instead, it is asked once for each try. */

import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import { openWebhookClient } from '../../src/outbound/webhook-client.ts';
import { type FileServers, openFileServers } from '../support/file-server.ts';
import { type Act, openScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { send, transportTo } from '../support/smtp-transport.ts';

describe('one message', () => {
  it.each<[Stage, Act, kind: string]>([
    ['MAIL', '421 4.3.2 Later', 'answered'],
    ['MAIL', '451 4.3.0 Later', 'answered'],
    ['MAIL', 'reset', 'transport_fault'],
    ['RCPT', '450 4.2.0 Later', 'answered'],
    ['RCPT', 'drop', 'transport_fault'],
    ['DATA', '451 4.3.0 Later', 'answered'],
    ['DATA', 'half-close', 'transport_fault'],
    ['body begins', 'reset', 'unknown'],
    ['body', '452 4.3.1 Full', 'answered'],
    ['body', 'drop', 'unknown'],
  ])('is begun once where its server says at %s: %s', async (at, act, kind) => {
    await using server = await openScriptedSmtp((stage) => (stage === at ? act : undefined));
    await using transport = transportTo(server.port);
    expect(await send(transport)).toMatchObject({ kind });
    expect(server.lines.filter((line) => line.startsWith('MAIL'))).toHaveLength(1);
  });
});

describe('one request', () => {
  let servers: FileServers;
  beforeAll(async () => {
    servers = await openFileServers();
  });
  afterAll(() => servers[Symbol.asyncDispose]());

  const answers: [what: string, RequestListener][] = [
    ['500', (_, response) => response.writeHead(500).end()],
    ['503 with Retry-After: 0', (_, response) => response.writeHead(503, { 'retry-after': '0' }).end()],
    ['429', (_, response) => response.writeHead(429).end()],
    ['nothing, and hangs up', (request) => request.socket.destroy()],
    [
      'half of what it announced, and hangs up',
      (_, response) => {
        response.writeHead(503, { 'content-length': 10 });
        response.write('half', () => response.destroy());
      },
    ],
  ];

  it.each(answers)('for a file is made once where its server answers %s', async (_, answer) => {
    await using target = await servers.serve(answer);
    expect(await servers.fetchOnce(target.url)).toMatchObject({ kind: 'fault' });
    expect(target.requests).toHaveLength(1);
  });

  it.each(answers)('to an endpoint is made once where that answers %s', async (_, answer) => {
    let requests = 0;
    await using server = createServer((request, response) => {
      requests++;
      answer(request, response);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    await using client = openWebhookClient({ allowPrivateNetworks: true, deadlineMs: 15_000, now: monotonicNow });
    expect((await client.post(`http://127.0.0.1:${port}/`, {}, '{}')).status).not.toBe(200);
    expect(requests).toBe(1);
  });
});
