/** A process of its own: an endpoint of webhooks that answers 204 and counts what it is told. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerRequests, monotonicMs } from './processes.ts';

export type HooksRequest =
  | { readonly kind: 'open' }
  /** Starts counting from nothing. */
  | { readonly kind: 'begin' }
  /** Answered once `count` events have come, or when none has come for a while. */
  | { readonly kind: 'wait'; readonly count: number };

export type HooksAnswer = {
  readonly port: number;
  readonly events: number;
  readonly posts: number;
  /** When the event came with which half were there, and the last one, by the clock all processes share. */
  readonly warmAt: number;
  readonly lastAt: number;
};

const silenceMs = 15_000;
const pollMs = 5;
/** Each event of a list begins so, and nothing else does. */
const eventStart = /\{"id":"ev_/g;

let arrivals: { readonly at: number; readonly events: number }[] = [];
let events = 0;

const server = createServer({ keepAlive: true }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString('latin1');
    events += body.startsWith('[') ? (body.match(eventStart)?.length ?? 0) : 1;
    arrivals.push({ at: monotonicMs(), events });
    response.writeHead(204).end();
  });
});

answerRequests<HooksRequest, HooksAnswer>(async (request) => {
  if (request.kind === 'open') {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  if (request.kind === 'begin') {
    arrivals = [];
    events = 0;
  }
  if (request.kind === 'wait') await waitFor(request.count);
  const { port } = server.address() as AddressInfo;
  const warmAt = arrivals.find((arrival) => arrival.events >= events / 2)?.at ?? Number.NaN;
  return { port, events, posts: arrivals.length, warmAt, lastAt: arrivals.at(-1)?.at ?? Number.NaN };
});

async function waitFor(count: number): Promise<void> {
  const from = monotonicMs();
  while (events < count && monotonicMs() - Math.max(from, arrivals.at(-1)?.at ?? 0) < silenceMs)
    await new Promise((resolve) => setTimeout(resolve, pollMs));
}
