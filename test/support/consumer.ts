/** A consumer of webhooks whose answers a test decides request by request, and which counts its connections. */
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Call = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly id: string };
/** Null leaves the request without an answer. */
export type Reply = { readonly status: number; readonly headers?: OutgoingHttpHeaders; readonly body?: string } | null;

export type Consumer = AsyncDisposable & {
  readonly url: string;
  readonly calls: Call[];
  readonly connections: number;
  /** The `webhook-id`s in the order they came. */
  ids(): string[];
};

/** @param reply is asked with the number of the request, from 1 */
export async function openConsumer(reply: (n: number, call: Call) => Reply | Promise<Reply>): Promise<Consumer> {
  const calls: Call[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const id = String(request.headers['webhook-id']);
      const call = { headers: request.headers, body: Buffer.concat(chunks).toString(), id };
      const answer = await reply(calls.push(call), call);
      if (answer !== null) response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  });
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    calls,
    get connections() {
      return connections;
    },
    ids: () => calls.map(({ id }) => id),
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
