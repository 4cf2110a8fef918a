/** POSTs signed events to endpoints: no redirects, no private networks unless allowed, a deadline, a bound on what is read. */
import { Agent, request } from 'undici';
import type { PostResult } from '../domain/webhook.ts';
import { describeTrouble } from './network-trouble.ts';
import { PrivateNetworkError, publicLookup, refusePrivateLiteral } from './private-networks.ts';

const deadlineMs = 15_000;
/** Bytes of an answer that are read; the rest is dropped with its connection. */
const maxAnswerBytes = 16 * 1_024;

export type WebhookClient = AsyncDisposable & {
  /** Sends once; trouble is a result with status 0. */
  post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<PostResult>;
};

export function openWebhookClient(options: { allowPrivateNetworks: boolean }): WebhookClient {
  const agent = new Agent({
    // As many as there are posts at a time: one that waited for a connection would spend its deadline waiting.
    connections: null,
    headersTimeout: deadlineMs,
    bodyTimeout: deadlineMs,
    connect: { timeout: deadlineMs, ...(options.allowPrivateNetworks ? {} : { lookup: publicLookup }) },
  });

  return {
    async post(url, headers, body) {
      try {
        if (!options.allowPrivateNetworks) refusePrivateLiteral(new URL(url));
        const answer = await request(url, {
          dispatcher: agent,
          method: 'POST',
          headers,
          body,
          signal: AbortSignal.timeout(deadlineMs),
        });
        await answer.body.dump({ limit: maxAnswerBytes });
        const isSuccess = answer.statusCode >= 200 && answer.statusCode < 300;
        return { status: answer.statusCode, detail: isSuccess ? null : `answered ${answer.statusCode}` };
      } catch (error) {
        const isPrivate = error instanceof PrivateNetworkError;
        const why = isPrivate ? ', which WEBHOOK_ALLOW_PRIVATE_NETWORKS does not allow' : '';
        return { status: 0, detail: `${describeTrouble(error)}${why}` };
      }
    },
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}
