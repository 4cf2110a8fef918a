/** How requests of ours connect to hosts of others: over HTTP/1.1, to no private network unless allowed, and by whichever address answers. */
import { Agent, type buildConnector } from 'undici';
import { lookUp } from './name-lookup.ts';
import { publicLookup } from './private-networks.ts';

/** Of each address of a name but the last, before the next is tried: 250 ms, which is usual, is less than a far or busy host takes. */
const addressTimeoutMs = 4_000;
/** Addresses that find room in a deadline, where that is short. */
const addressesTried = 3;

/**
 * HTTP/2 is not spoken: a session that dies in silence would take every request to its host with it, until its own probe finds out.
 * @param deadlineMs of one request, which the caller ends
 */
export function makeAgent(
  { allowPrivateNetworks, deadlineMs }: { readonly allowPrivateNetworks: boolean; readonly deadlineMs: number },
  options: Omit<Agent.Options, 'connect'> = {},
  tls: buildConnector.BuildOptions = {},
): Agent {
  return new Agent({
    allowH2: false,
    // As many as there are requests at a time: one that waited for a connection would spend its deadline waiting.
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
}
