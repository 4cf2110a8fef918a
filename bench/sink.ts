/** A process of its own: an SMTP server as fast as a socket allows, which counts what it takes. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { answerRequests, monotonicMs } from './processes.ts';

export type SinkRequest =
  | { readonly kind: 'open' }
  /** Starts counting from nothing. */
  | { readonly kind: 'begin' }
  /** Answers so much later from now on, as over a network. */
  | { readonly kind: 'move'; readonly roundTripMs: number }
  | { readonly kind: 'look' }
  /** Answered once `count` messages have arrived, or when none has arrived for a while. */
  | { readonly kind: 'wait'; readonly count: number };

export type SinkAnswer = {
  readonly port: number;
  readonly count: number;
  /** Messages to different recipients: what is left when repeats are not counted. */
  readonly distinct: number;
  /** When each message was answered with 250, by the clock all processes share. */
  readonly arrivals: readonly number[];
  /** When the message to each recipient called `watched-…` arrived. */
  readonly watched: Readonly<Record<string, number>>;
};

const bodyEnd = Buffer.from('\r\n.\r\n');
const lineEnd = Buffer.from('\r\n');
/** Longest silence before messages count as lost. */
const silenceMs = 15_000;
const pollMs = 5;

let arrivals: number[] = [];
let recipients = new Set<string>();
let watched: Record<string, number> = {};
let roundTripMs = 0;

const server = createServer({ noDelay: true }, serve);

answerRequests<SinkRequest, SinkAnswer>(async (request) => {
  if (request.kind === 'open') {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  if (request.kind === 'begin') {
    arrivals = [];
    recipients = new Set();
    watched = {};
  }
  if (request.kind === 'move') roundTripMs = request.roundTripMs;
  if (request.kind === 'wait') await waitFor(request.count);
  const { port } = server.address() as AddressInfo;
  // A look is taken often and wants no list.
  const listed = request.kind === 'look' ? [] : arrivals;
  return { port, count: arrivals.length, distinct: recipients.size, arrivals: listed, watched };
});

async function waitFor(count: number): Promise<void> {
  const from = monotonicMs();
  while (arrivals.length < count && monotonicMs() - Math.max(from, arrivals.at(-1) ?? 0) < silenceMs) {
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function serve(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0);
  let isBody = false;
  let to: string[] = [];
  const answer = (replies: string) => {
    if (roundTripMs > 0) setTimeout(write, roundTripMs, replies);
    else write(replies);
  };
  const write = (replies: string) => {
    socket.write(replies);
    if (replies.endsWith('221 2.0.0 bye\r\n')) socket.end();
  };
  socket.on('error', () => socket.destroy());
  socket.write('220 sink ESMTP\r\n');
  socket.on('data', (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    let replies = '';
    // Everything that is complete is read, and all its replies leave in one write.
    for (;;) {
      const needle = isBody ? bodyEnd : lineEnd;
      const end = bytes.indexOf(needle, at);
      if (end < 0) break;
      if (isBody) {
        isBody = false;
        take(to);
        to = [];
        replies += '250 2.0.0 taken\r\n';
      } else {
        const line = bytes.toString('latin1', at, end);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'RCPT') to.push(line);
        if (verb === 'RSET' || verb === 'MAIL') to = [];
        isBody = verb === 'DATA';
        replies += replyTo(verb);
      }
      at = end + needle.length;
    }
    rest = bytes.subarray(at);
    if (replies !== '') answer(replies);
  });
}

function take(to: readonly string[]): void {
  const now = monotonicMs();
  arrivals.push(now);
  for (const line of to) {
    recipients.add(line);
    const [, address] = /<(watched-[^>]*)>/.exec(line) ?? [];
    if (address !== undefined) watched[address] = now;
  }
}

function replyTo(verb: string): string {
  if (verb === 'EHLO') return '250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n';
  if (verb === 'DATA') return '354 go on\r\n';
  if (verb === 'QUIT') return '221 2.0.0 bye\r\n';
  return '250 2.0.0 ok\r\n';
}
