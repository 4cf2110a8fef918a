/** Requests that are late, over real sockets, by a clock that the test moves. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { makeLateRequests, paceBytes, paceMs, stillMs, wholeMs } from '../../src/http/late-requests.ts';
import { until } from '../support/until.ts';

type Timer = { readonly ms: number; readonly run: () => void; isOver: boolean };

/** A server that takes bodies, the requests that came, those that were told of as late, and the timers that run. */
async function open() {
  const timers: Timer[] = [];
  const requests: IncomingMessage[] = [];
  const late: IncomingMessage[] = [];
  const server = createServer((request) => void requests.push(request));
  const { watch, letFlow } = makeLateRequests(
    (request) => void late.push(request),
    (ms, run) => {
      const timer = { ms, run, isOver: false };
      timers.push(timer);
      return () => {
        timer.isOver = true;
      };
    },
  );
  watch(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  const running = () => timers.filter(({ isOver }) => !isOver);
  return {
    ...{ requests, late, letFlow, running, socket },
    pass(): void {
      for (const timer of running()) {
        timer.isOver = true;
        timer.run();
      }
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const head = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n';

it('a request whose body does not come is ended, and one that came whole is not', async () => {
  await using slow = await open();
  slow.socket.write(`${head}abc`);
  await until('the request', () => slow.requests.length === 1);
  expect(slow.running().map(({ ms }) => ms)).toEqual([paceMs]);
  slow.pass();
  expect(slow.late).toEqual(slow.requests);
  expect(slow.late[0]?.socket.isPaused()).toBe(true);

  await using whole = await open();
  whole.socket.write(`${head}abcdefghi`);
  // Nobody reads it yet, as when Redis keeps us waiting.
  await until('the body', () => whole.requests[0]?.complete);
  whole.pass();
  expect(whole.late).toEqual([]);
});

it('a body that keeps its pace has its whole time, and one that falls below it is ended, however much of it has come', async () => {
  const long = head.replace('length: 9', `length: ${100 * paceBytes}`);
  const write = async ({ socket, requests }: Awaited<ReturnType<typeof open>>, bytes: number) => {
    const request = await until('the request', () => requests[0]?.resume());
    const due = request.socket.bytesRead + bytes;
    socket.write('x'.repeat(bytes));
    await until('the bytes', () => request.socket.bytesRead === due);
  };
  await using steady = await open();
  steady.socket.write(long);
  for (let ms = paceMs; ms <= wholeMs; ms += paceMs) {
    await write(steady, paceBytes);
    expect(steady.late).toEqual([]);
    steady.pass();
  }
  expect(steady.late).toEqual(steady.requests);

  await using held = await open();
  held.socket.write(long);
  await write(held, 90 * paceBytes);
  held.pass();
  await write(held, paceBytes - 1);
  expect(held.late).toEqual([]);
  held.pass();
  expect(held.late).toEqual(held.requests);
});

it('an upload continues as long as bytes come, and is ended when none do', async () => {
  await using upload = await open();
  upload.socket.write(head);
  const request = await until('the request', () => upload.requests[0]);
  upload.letFlow(request);
  for (const byte of 'abc') {
    const before = request.socket.bytesRead;
    upload.socket.write(byte);
    await until('the byte', () => request.socket.bytesRead > before);
    expect(upload.running().map(({ ms }) => ms)).toEqual([stillMs]);
    upload.pass();
    expect(upload.late).toEqual([]);
  }
  upload.pass();
  expect(upload.late).toEqual([request]);
});

it('a client that went away and a request whose body is not read are not timed', async () => {
  await using unread = await open();
  unread.socket.write(`GET / HTTP/1.1\r\nhost: a\r\n\r\n${head.replace('POST', 'GET')}`);
  await until('the requests', () => unread.requests.length === 2);
  expect(unread.running()).toEqual([]);
  await using left = await open();
  left.socket.write(head);
  await until('the request', () => left.running().length === 1);
  left.socket.destroy();
  await until('the wait to end', () => left.running().length === 0);
});
