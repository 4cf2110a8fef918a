/** Fetches attachments given by URL: https only, no redirects, no private networks unless allowed; time, size and number are limited. */
import { getCACertificates } from 'node:tls';
import { type Dispatcher, request } from 'undici';
import { makeShares, type Shares } from '../concurrency/shares.ts';
import { type Fetched, hostOf } from '../domain/attachment.ts';
import type { Lane } from '../domain/lane.ts';
import { makeAgent } from './http-agent.ts';
import { describeTrouble } from './network-trouble.ts';
import { PrivateNetworkError, refusePrivateLiteral } from './private-networks.ts';

/** Limit from the connect to the last byte, also for a slow but steady server. The wait for a free place may take as long again. */
const usualDeadlineMs = 30_000;
/**
 * Files in hand at the same time, for each lane, until they are stored: a host that hangs must not hold up the other lane. One host has half
 * of them at most.
 */
const maxAtOnce = 8;
/** Only a file larger than this waits for room. Up to `maxAtOnce` small files may be in hand besides the large ones. */
const smallBytes = 1_024 * 1_024;
/** The fetches of one email follow each other at once; after that the connection is hardly used again. */
const idleCloseMs = 2_000;
const maxNameLength = 300;
/** No timer may be longer. */
const longestMs = 2 ** 31 - 1;

/** What is to be fetched. */
type Asked = {
  readonly url: string;
  readonly maxBytes: number;
  readonly lane: Lane;
  /** For how long the file is wanted, Infinity for any time: a fetch that is not done by then ends. */
  readonly forMs: number;
  readonly stop: AbortSignal;
};

export type AttachmentClient = AsyncDisposable & {
  /**
   * Fetches once; trouble is a fault, but not that the file is not wanted any more, or that `stop` aborted.
   * @param use what is done with the file: it keeps its place and its room in memory until that has ended
   */
  fetch<R>(asked: Asked, use: (fetched: Fetched) => Promise<R>): Promise<R>;
};

export type AttachmentClientOptions = {
  readonly allowPrivateNetworks: boolean;
  /** Bytes of large files in hand at the same time, for each lane. One host has half of them at most, but one file in any case. */
  readonly roomBytes: number;
  /** Certificates (PEM) to trust besides those Node trusts. */
  readonly ca?: string | undefined;
  readonly deadlineMs?: number;
};

export function openAttachmentClient(options: AttachmentClientOptions): AttachmentClient {
  const { allowPrivateNetworks, roomBytes, ca, deadlineMs = usualDeadlineMs } = options;
  const ofEachLane = (count: number): Readonly<Record<Lane, Shares>> => ({
    transactional: makeShares(count),
    bulk: makeShares(count),
  });
  const places = ofEachLane(maxAtOnce);
  const rooms = ofEachLane(roomBytes);
  const agent = makeAgent(
    { allowPrivateNetworks, deadlineMs },
    { keepAliveTimeout: idleCloseMs, keepAliveMaxTimeout: idleCloseMs },
    {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
    },
  );

  async function fetchInPlace(target: URL, asked: Asked, held: DisposableStack): Promise<Fetched> {
    const { maxBytes, lane, stop } = asked;
    using deadline = startDeadline(deadlineMs);
    const signal = AbortSignal.any([deadline.signal, stop]);
    let isCrowded = false;
    let hasWaited = false;
    async function takeRoom(bytes: number): Promise<void> {
      const host = hostOf(target.href);
      let leave = rooms[lane].tryTake(host, bytes);
      if (leave === null) {
        isCrowded = true;
        hasWaited = true;
        leave = await rooms[lane].take(host, signal, bytes);
        if (leave === null) throw signal.reason;
        isCrowded = false;
        // Its server was not read from meanwhile.
        deadline.restart();
      }
      held.defer(leave);
    }
    try {
      if (!allowPrivateNetworks) refusePrivateLiteral(target);
      const answer = await request(target, { dispatcher: agent, headers, signal });
      return await read(target, answer, maxBytes, takeRoom);
    } catch (error) {
      // A server that was not read from for so long may have closed, which shows only once all that it had sent is read.
      const isOurs = stop.aborted || isCrowded || (hasWaited && !deadline.signal.aborted);
      if (isOurs) return { kind: 'put_off' };
      if (error instanceof PrivateNetworkError)
        return fault(target, 'is in a private network: give a public host', true);
      return fault(target, whyEnded(error, deadline.signal, deadlineMs), false);
    }
  }

  async function takePlace(target: URL, lane: Lane, stop: AbortSignal): Promise<(() => void) | null> {
    using patience = startDeadline(deadlineMs);
    return await places[lane].take(hostOf(target.href), AbortSignal.any([patience.signal, stop]));
  }

  async function fetchInTime(target: URL, asked: Asked, held: DisposableStack): Promise<Fetched> {
    using wanted = startDeadline(Math.min(asked.forMs, longestMs));
    const stop = AbortSignal.any([asked.stop, wanted.signal]);
    const leave = await takePlace(target, asked.lane, stop);
    if (leave === null) return { kind: 'put_off' };
    held.defer(leave);
    return await fetchInPlace(target, { ...asked, stop }, held);
  }

  return {
    async fetch(asked, use) {
      const target = readTarget(asked.url);
      if (!(target instanceof URL)) return use(target);
      using held = new DisposableStack();
      const fetched = await fetchInTime(target, asked, held);
      return await use(fetched);
    },
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}

/** A compressed answer is refused: a few bytes may unpack to any size, and it is unknown whether the compressed file itself was meant. */
const headers = { 'user-agent': 'Postrider', accept: '*/*', 'accept-encoding': 'identity' };

function readTarget(url: string): URL | Fetched {
  if (!URL.canParse(url)) return unfit('The path is not a URL: give an https URL');
  const target = new URL(url);
  if (target.protocol !== 'https:') return unfit(`The path is a ${target.protocol} URL: only https is fetched`);
  const isPlain = target.username === '' && target.password === '';
  return isPlain ? target : fault(target, 'must not carry credentials', true);
}

/** Takes room in memory; throws when there is none before the fetch must end. */
type TakeRoom = (bytes: number) => Promise<void>;

async function read(
  target: URL,
  answer: Dispatcher.ResponseData,
  maxBytes: number,
  takeRoom: TakeRoom,
): Promise<Fetched> {
  const refusal = refuse(target, answer, maxBytes);
  if (refusal !== null) {
    // Ending a body before its end is reported as its error.
    answer.body.on('error', () => {}).destroy();
    return refusal;
  }
  const content = await collect(answer.body, lengthOf(answer) ?? maxBytes, takeRoom);
  if (content === null) return tooLarge(target, `goes on after ${maxBytes} bytes`, maxBytes);
  const { 'content-type': contentType } = answer.headers;
  return { kind: 'fetched', content, contentType: typeof contentType === 'string' ? contentType : null };
}

/** Why the body of an answer is not read, by its status and headers; null when it is read. */
function refuse(target: URL, answer: Dispatcher.ResponseData, maxBytes: number): Fetched | null {
  const { statusCode, headers } = answer;
  if (statusCode >= 300 && statusCode < 400)
    return fault(target, `answered ${statusCode}: redirects are refused, give the address it leads to`, true);
  // Not final: an eventually consistent store answers 403 or 404 for a file that was just put there.
  if (statusCode !== 200) return fault(target, `answered ${statusCode}`, false);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (String(encoding).toLowerCase() !== 'identity')
    return fault(target, 'is sent with a Content-Encoding: it must be stored as it is to be attached', true);
  const transfer = headers['transfer-encoding'];
  if (transfer !== undefined && String(transfer).toLowerCase() !== 'chunked')
    return fault(target, 'is sent with a Transfer-Encoding other than chunked', true);
  const length = lengthOf(answer);
  if (length !== null && length > maxBytes) return tooLarge(target, `is ${length} bytes`, maxBytes);
  // Such a body ends with its connection: a file that was cut short would be sent as if it were whole.
  if (length === null && transfer === undefined)
    return fault(target, 'is sent with neither Content-Length nor chunked, so its end cannot be told', true);
  return null;
}

function lengthOf({ headers }: Dispatcher.ResponseData): number | null {
  const length = headers['content-length'];
  return length === undefined ? null : Number(length);
}

/**
 * Reads a body into one buffer: joining chunks at the end would hold everything twice. Once it is not small, its buffer is allocated whole.
 * @returns null when it is longer than `capacity`; leaving the loop early closes the connection
 */
async function collect(body: AsyncIterable<Buffer>, capacity: number, takeRoom: TakeRoom): Promise<Buffer | null> {
  let space = Buffer.allocUnsafeSlow(Math.min(capacity, smallBytes));
  let length = 0;
  for await (const chunk of body) {
    const needed = length + chunk.length;
    if (needed > capacity) return null;
    if (needed > space.length) {
      await takeRoom(capacity);
      const whole = Buffer.allocUnsafeSlow(capacity);
      space.copy(whole, 0, 0, length);
      space = whole;
    }
    length += chunk.copy(space, length);
  }
  const filled = space.subarray(0, length);
  // A small file must not keep a large buffer alive.
  return length > space.length / 2 ? filled : Buffer.from(filled);
}

function whyEnded(error: unknown, deadline: AbortSignal, deadlineMs: number): string {
  return deadline.aborted ? `was not there whole within ${deadlineMs} ms` : `failed: ${describeTrouble(error)}`;
}

function tooLarge(target: URL, what: string, maxBytes: number): Fetched {
  return fault(target, `${what}, and at most ${maxBytes} bytes are left for it`, true);
}

function fault({ protocol, host, pathname }: URL, what: string, isFinal: boolean): Fetched {
  const origin = `${protocol}//${host}`;
  const detail = `${`${origin}${pathname}`.slice(0, maxNameLength)} ${what}`;
  return { kind: 'fault', detail, loggable: `${origin} ${what}`, isFinal };
}

function unfit(detail: string): Fetched {
  return { kind: 'fault', detail, loggable: detail, isFinal: true };
}

type Deadline = Disposable & { readonly signal: AbortSignal; restart(): void };

/** Aborts after `ms`, unless disposed of before. */
function startDeadline(ms: number): Deadline {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  const { signal } = controller;
  return { signal, restart: () => void timer.refresh(), [Symbol.dispose]: () => clearTimeout(timer) };
}
