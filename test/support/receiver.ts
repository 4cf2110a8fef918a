/** A webhook consumer: keeps every request as it came and answers as it is told. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { Smtp } from './postrider.ts';

export type HookEvent = {
  readonly type: string;
  readonly timestamp: string;
  readonly created_at: string;
  readonly data: {
    readonly email_id: string;
    readonly sequence: number;
    readonly to: readonly string[];
    readonly smtp: Smtp | null;
  };
};

export type Hook = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly event: HookEvent };

export type Receiver = AsyncDisposable & {
  readonly url: string;
  readonly hooks: readonly Hook[];
  /** The events of one email in the order they came, each verified with the secret first. */
  eventsOf(emailId: string, secret: string): HookEvent[];
};

/** @param statusFor the status to answer the n-th request with, counted from 1 */
export async function openReceiver(statusFor: (n: number) => number = () => 204): Promise<Receiver> {
  const hooks: Hook[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      hooks.push({ headers: request.headers, body, event: JSON.parse(body) });
      response.writeHead(statusFor(hooks.length)).end();
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    hooks,
    eventsOf(emailId, secret) {
      const verifier = new Webhook(secret);
      return hooks
        .filter(({ event }) => event.data.email_id === emailId)
        .map(({ headers, body }) => verifier.verify(body, headers as Record<string, string>) as HookEvent);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
