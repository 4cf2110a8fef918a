/** POSTs signed events to endpoints: no redirects, no private networks unless allowed, a deadline, a limit on what is read. */
import { type Dispatcher, request } from 'undici';
import { isSuccess, type PostResult } from '../domain/post.ts';
import { makeAgent } from './http-agent.ts';
import { describeTrouble } from './network-trouble.ts';
import { PrivateNetworkError, refusePrivateLiteral } from './private-networks.ts';

/** Most bytes of an answer that are read; then the connection is closed. */
const maxAnswerBytes = 16 * 1_024;
/** Time to read the body once the headers have come: a slow endpoint must not keep its place for longer. */
const maxBodyMs = 1_000;

export type WebhookClient = AsyncDisposable & {
  /** Sends once; trouble is a result with status 0. */
  post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<PostResult>;
};

type Options = {
  readonly allowPrivateNetworks: boolean;
  /** Over the whole exchange: connecting, sending, and reading the answer. */
  readonly deadlineMs: number;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

export function openWebhookClient(options: Options): WebhookClient {
  const { deadlineMs, now } = options;
  const agent = makeAgent(options);

  return {
    async post(url, headers, body) {
      const startedAt = now();
      const ms = () => Math.round((now() - startedAt) * 10) / 10;
      try {
        if (!options.allowPrivateNetworks) refusePrivateLiteral(new URL(url));
        const signal = AbortSignal.timeout(deadlineMs);
        const answer = await request(url, { dispatcher: agent, method: 'POST', headers, body, signal });
        const { statusCode: status } = answer;
        const { text, isWhole } = await readSome(answer.body);
        return {
          status,
          detail: isSuccess(status) ? null : `answered ${status}`,
          ms: ms(),
          body: text,
          isWhole,
          retryAfter: oneOf(answer.headers['retry-after']),
        };
      } catch (error) {
        const isLate = error instanceof DOMException && error.name === 'TimeoutError';
        if (isLate) return { ...noAnswer, detail: `no answer within ${deadlineMs / 1_000} s`, ms: ms() };
        const isPrivate = error instanceof PrivateNetworkError;
        const why = isPrivate ? ', which WEBHOOK_ALLOW_PRIVATE_NETWORKS does not allow' : '';
        return { ...noAnswer, detail: `${describeTrouble(error)}${why}`, ms: ms() };
      }
    },
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}

const noAnswer = { status: 0, body: null, isWhole: true, retryAfter: null } as const;

/** The status alone says whether the event arrived, also when the body breaks off or never ends. */
async function readSome(body: Dispatcher.ResponseData['body']): Promise<{ text: string; isWhole: boolean }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const patience = setTimeout(() => body.destroy(), maxBodyMs);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk.subarray(0, maxAnswerBytes - bytes));
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) return { text: textOf(chunks), isWhole: false };
    }
    return { text: textOf(chunks), isWhole: true };
  } catch {
    return { text: textOf(chunks), isWhole: false };
  } finally {
    clearTimeout(patience);
  }
}

/** Bytes that are not UTF-8 become replacement characters. */
function textOf(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}

function oneOf(header: string | string[] | undefined): string | null {
  return (Array.isArray(header) ? header[0] : header) ?? null;
}
