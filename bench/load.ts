/** A process of its own: posts letters over keep-alive connections, one request under way on each. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { recipient, recipientDigits, writeLetter } from './letter.ts';
import { answerRequests, monotonicMs } from './processes.ts';

export type LoadRequest = {
  /** Where to post. */
  readonly url: string;
  readonly apiKey: string;
  readonly connections: number;
  readonly count: number;
  /** The first recipient's number; the others follow. */
  readonly firstNumber: number;
};

export type LoadAnswer = {
  readonly startedAt: number;
  readonly endedAt: number;
  /** Requests answered with 202. */
  readonly accepted: number;
  /** One answer that was not 202, for the person who reads the failure. */
  readonly refusal: string | null;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

answerRequests<LoadRequest, LoadAnswer>(async (request) => {
  const sockets = await Promise.all(Array.from({ length: request.connections }, () => open(new URL(request.url))));
  const template = requestBytes(request);
  const latencies: number[] = [];
  let sent = 0;
  let refusal: string | null = null;

  async function drive(socket: Socket): Promise<void> {
    const bytes = Buffer.from(template);
    const numberAt = bytes.indexOf(recipient(0)) + recipient(0).indexOf('0');
    while (sent < request.count) {
      const number = request.firstNumber + sent++;
      bytes.write(String(number).padStart(recipientDigits, '0'), numberAt, 'latin1');
      const from = monotonicMs();
      socket.write(bytes);
      const answer = await readAnswer(socket);
      if (answer.startsWith('HTTP/1.1 202 ')) latencies.push(monotonicMs() - from);
      else refusal ??= answer.slice(0, 500);
    }
  }

  const startedAt = monotonicMs();
  await Promise.all(sockets.map(drive));
  const endedAt = monotonicMs();
  for (const socket of sockets) socket.destroy();
  latencies.sort((a, b) => a - b);
  const quantile = (part: number) => latencies[Math.floor((latencies.length - 1) * part)] ?? Number.NaN;
  return {
    startedAt,
    endedAt,
    accepted: latencies.length,
    refusal,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
});

async function open(url: URL): Promise<Socket> {
  const socket = connect({
    host: url.hostname,
    port: Number(url.port),
    noDelay: true,
  });
  await once(socket, 'connect');
  return socket;
}

/** The whole request, ready but for the recipient's number: a generator that spends little leaves the machine to what it measures. */
function requestBytes({ url, apiKey }: LoadRequest): Buffer {
  const { host, pathname } = new URL(url);
  const body = JSON.stringify(writeLetter(recipient(0)));
  const head = [
    `POST ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    `Authorization: Bearer ${apiKey}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** One whole answer; it must say its length, as ours and the limits' do. */
function readAnswer(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const fail = () => reject(new Error(`the server closed the connection after: ${text}`));
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const headEnd = text.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, headEnd))?.[1] ?? Number.NaN);
      if (text.length < headEnd + 4 + length) return;
      socket.off('data', take).off('close', fail);
      if (Number.isNaN(length)) reject(new Error(`an answer without a length: ${text}`));
      else resolve(text);
    };
    socket.on('data', take).once('close', fail);
  });
}
