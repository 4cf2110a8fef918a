/** Files over real TLS, served as a test says, with a client that trusts their certificate. */
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { expect } from 'vitest';
import type { Fetched } from '../../src/domain/attachment.ts';
import {
  type AttachmentClient,
  type AttachmentClientOptions,
  openAttachmentClient,
} from '../../src/outbound/attachment-client.ts';
import { type Certificate, makeCertificate } from './certificate.ts';

export type FileServer = AsyncDisposable & {
  readonly port: number;
  /** With a query that no fault may repeat. */
  readonly url: string;
  readonly requests: readonly IncomingMessage[];
  /** Those that are open. */
  readonly sockets: ReadonlySet<Socket>;
  readonly connections: number;
};

export type FileServers = AsyncDisposable & {
  readonly certificate: Certificate;
  readonly trusting: AttachmentClientOptions;
  serve(answer: RequestListener, options?: ServerOptions, host?: string): Promise<FileServer>;
  fetchOnce(url: string, maxBytes?: number, options?: AttachmentClientOptions): Promise<Fetched>;
};

export async function openFileServers(): Promise<FileServers> {
  const certificate = await makeCertificate();
  const trusting = { allowPrivateNetworks: true, roomBytes: 64_000_000, ca: certificate.cert };
  return {
    certificate,
    trusting,
    serve: (answer, options = {}, host = '127.0.0.1') =>
      serve(answer, { key: certificate.key, cert: certificate.cert, ...options }, host),
    fetchOnce: (url, maxBytes = 1_000, options = trusting) => fetchOnce(url, maxBytes, options),
    [Symbol.asyncDispose]: () => certificate[Symbol.asyncDispose](),
  };
}

async function serve(answer: RequestListener, options: ServerOptions, host: string): Promise<FileServer> {
  const requests: IncomingMessage[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer(options, (request, response) => {
    requests.push(request);
    answer(request, response);
  });
  // An idle connection is for the client to leave.
  server.keepAliveTimeout = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((listening) => server.listen(0, host, listening));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `https://${host}:${port}/a/file.pdf?signature=secret`,
    requests,
    sockets,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

async function fetchOnce(url: string, maxBytes: number, options: AttachmentClientOptions): Promise<Fetched> {
  await using client = openAttachmentClient(options);
  const fetched = await fetchBy(client, { url, maxBytes });
  if (fetched.kind === 'fault') expect(fetched.detail).not.toMatch(/secret|signature/);
  return fetched;
}

/** Of a process that goes on. */
const notStopping = new AbortController().signal;

/** Of a few bytes, for mail of no end. */
export const usual = {
  maxBytes: 10,
  lane: 'transactional',
  forMs: Number.POSITIVE_INFINITY,
  stop: notStopping,
} as const;

type Asked = Parameters<AttachmentClient['fetch']>[0];

/** Fetches a file as usual, unless told otherwise, and keeps nothing of what it took. */
export function fetchBy(client: AttachmentClient, asked: Partial<Asked> & Pick<Asked, 'url'>): Promise<Fetched> {
  return client.fetch({ ...usual, ...asked }, async (one) => one);
}

/** A fault that no other try can mend. */
export const faultForGood = (detail: unknown) => ({
  kind: 'fault',
  detail,
  loggable: expect.any(String),
  isFinal: true,
});
/** A fault that another try may mend. */
export const faultForNow = (detail: unknown) => ({
  kind: 'fault',
  detail,
  loggable: expect.any(String),
  isFinal: false,
});
