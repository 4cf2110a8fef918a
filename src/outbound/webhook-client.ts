/** POSTs signed events to endpoints: no redirects, no private networks unless allowed, a deadline, a bound on what is read. */
import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';
import type { PostResult } from '../domain/webhook.ts';
import { isPrivateAddress } from './private-networks.ts';

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
      const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
      // A literal address is connected to without a lookup, so it is looked at here.
      if (!options.allowPrivateNetworks && isIP(host) !== 0 && isPrivateAddress(host)) return refused(host);
      try {
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
        return { status: 0, detail: describe(error) };
      }
    },
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}

/** Every address a name has is checked, and only checked addresses are handed to the connect that follows. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const hidden = addresses.find(({ address }) => isPrivateAddress(address));
    if (hidden !== undefined) return callback(new Error(refused(hostname).detail ?? ''), []);
    if (options.all) return callback(null, addresses);
    callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
  });
};

function refused(host: string): PostResult {
  return { status: 0, detail: `${host} is in a private network, which WEBHOOK_ALLOW_PRIVATE_NETWORKS does not allow` };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  const cause = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : '';
  return `${cause}${error.message}`.slice(0, 500);
}
