/** One HTTP connection as bytes on a socket: it can say what no HTTP client would, and shows whether the server kept it. */
import { connect } from 'node:net';
import { type Exchange, expectConformance } from './conformance.ts';
import { until } from './until.ts';

export type RawAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

export type RawHttp = Disposable & {
  write(bytes: string | Buffer): void;
  /** Sends a request whole, with a Content-Length and these headers. */
  send(method: string, path: string, headers: Record<string, string>, body?: string | Buffer): Promise<RawAnswer>;
  /** The next answer on this connection; fails when the connection ends before. */
  answer(): Promise<RawAnswer>;
  /** Sends no more, and waits for the server to end the connection as well. */
  end(): Promise<void>;
};

type Asked = Pick<Exchange, 'method' | 'url' | 'sent'>;

/** With `allowHalfOpen` it stays open when the server ends its half, as of a client that hangs. Each answer is held to openapi.yaml, when it is known what was asked: `send` says it, or the first line of what is written. */
export async function openRawHttp(url: string, { allowHalfOpen = false } = {}): Promise<RawHttp> {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen });
  const asked: Asked[] = [];
  let held = '';
  let isClosed = false;
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => {
    held += chunk;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  await new Promise((open, failed) => socket.once('connect', open).once('error', failed));

  function take(): RawAnswer | undefined {
    const end = held.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const [first = '', ...lines] = held.slice(0, end).split('\r\n');
    const headers = Object.fromEntries(lines.map((line) => [line.split(': ')[0]?.toLowerCase(), line.split(': ')[1]]));
    const length = Number(headers['content-length'] ?? 0);
    const body = held.slice(end + 4, end + 4 + length);
    if (body.length < length) return undefined;
    held = held.slice(end + 4 + length);
    return { status: Number(first.split(' ')[1]), headers, body: Buffer.from(body, 'latin1').toString() };
  }

  async function answer(): Promise<RawAnswer> {
    const taken = await until('an answer', () => {
      const found = take();
      if (found === undefined && isClosed) throw new Error(`The connection ended without an answer: ${held}`);
      return found;
    });
    // 100 Continue goes before the answer.
    if (taken.status < 200) return taken;
    const request = asked.shift();
    if (request !== undefined) expectConformance({ ...request, ...taken, text: taken.body });
    return taken;
  }

  return {
    write(bytes) {
      const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1', 0, 1_000);
      const [, method, path] = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/.exec(text) ?? [];
      if (method !== undefined && path !== undefined) asked.push({ method, url: path });
      socket.write(bytes);
    },
    answer,
    async send(method, path, headers, body = '') {
      // What is packed is not looked into.
      asked.push({ method, url: path, sent: 'content-encoding' in headers ? undefined : body.toString() });
      const all = { host: 'test', 'content-length': String(Buffer.byteLength(body)), ...headers };
      const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
      socket.write(body);
      return answer();
    },
    async end() {
      socket.end();
      await until('the connection to end', () => isClosed);
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
