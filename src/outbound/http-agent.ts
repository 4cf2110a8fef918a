/** Connects our requests to foreign hosts: over HTTP/1.1, to no private network unless allowed, to the first address that answers. */
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { lookUp } from './name-lookup.ts';
import { publicLookup } from './private-networks.ts';

/** Time for each address of a name, except the last, before the next is tried. The usual 250 ms is too short for far or busy hosts. */
const addressTimeoutMs = 4_000;
/** Number of addresses that must fit into a short deadline. */
const addressesTried = 3;

/** Makes one request over this agent. */
type Ask = (
  url: string | URL,
  options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>,
) => Promise<Dispatcher.ResponseData>;

export type HttpAgent = AsyncDisposable & {
  /** The function that makes requests. It is loaded at first use: loading takes a tenth of a start, and many processes never need it. */
  ready(): Promise<Ask>;
};

/**
 * HTTP/2 is not used: a session that dies in silence would take all requests to its host with it, until its own probe notices.
 * @param deadlineMs of one request; the caller ends a request that is late
 */
export function openAgent(...how: Parameters<typeof loadAgent>): HttpAgent {
  let loading: ReturnType<typeof loadAgent> | undefined;
  return {
    async ready() {
      loading ??= loadAgent(...how);
      return (await loading).ask;
    },
    async [Symbol.asyncDispose]() {
      await (await loading)?.agent.destroy();
    },
  };
}

async function loadAgent(
  { allowPrivateNetworks, deadlineMs }: { readonly allowPrivateNetworks: boolean; readonly deadlineMs: number },
  options: Omit<Agent.Options, 'connect'> = {},
  tls: buildConnector.BuildOptions = {},
): Promise<{ readonly agent: Agent; readonly ask: Ask }> {
  const { Agent, request } = await import('undici');
  const agent = new Agent({
    allowH2: false,
    // No limit: a request that waited for a connection would spend its deadline waiting.
    connections: null,
    headersTimeout: deadlineMs,
    bodyTimeout: deadlineMs,
    ...options,
    connect: {
      ...tls,
      timeout: deadlineMs,
      lookup: allowPrivateNetworks ? lookUp : publicLookup,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: Math.min(addressTimeoutMs, Math.ceil(deadlineMs / addressesTried)),
    },
  });
  return { agent, ask: (url, options) => request(url, { ...options, dispatcher: agent }) };
}
