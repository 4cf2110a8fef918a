/** A server that gives access tokens for a refresh token, over HTTP on this machine. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type TokenServer = AsyncDisposable & {
  readonly url: string;
  /** The forms it was sent, in order. */
  readonly forms: readonly Readonly<Record<string, string>>[];
};

/** @param answer how it answers the request of that number, from 1 */
export async function openTokenServer(
  answer: (response: ServerResponse, count: number) => unknown,
): Promise<TokenServer> {
  const forms: Record<string, string>[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    forms.push(Object.fromEntries(new URLSearchParams(body)));
    answer(response, forms.length);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    forms,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

export function give(response: ServerResponse, body: Readonly<Record<string, unknown>>, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
