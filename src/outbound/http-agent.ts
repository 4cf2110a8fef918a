/** Connects our requests to foreign hosts: over HTTP/1.1, to no private network unless allowed, to the first address that answers. */
import { Agent, type buildConnector } from 'undici';
import { lookUp } from './name-lookup.ts';
import { publicLookup } from './private-networks.ts';

/** Time for each address of a name, except the last, before the next is tried. The usual 250 ms is too short for far or busy hosts. */
const addressTimeoutMs = 4_000;
/** The timers of undici may go off half a second early: then a request would end by them, and in other words. */
const timerSlackMs = 1_000;
/** Number of addresses that must fit into a short deadline. */
const addressesTried = 3;

/**
 * HTTP/2 is not used: a session that dies in silence would take all requests to its host with it, until its own probe notices.
 * @param deadlineMs of one request; the caller ends a request that is late
 */
export function makeAgent(
  { allowPrivateNetworks, deadlineMs }: { readonly allowPrivateNetworks: boolean; readonly deadlineMs: number },
  options: Omit<Agent.Options, 'connect'> = {},
  tls: buildConnector.BuildOptions = {},
): Agent {
  return new Agent({
    allowH2: false,
    // No limit: a request that waited for a connection would spend its deadline waiting.
    connections: null,
    // The caller's deadline ends them, in its own words.
    headersTimeout: 0,
    bodyTimeout: 0,
    ...options,
    connect: {
      ...tls,
      // Ends the connection attempt that a late request has left behind.
      timeout: deadlineMs + timerSlackMs,
      lookup: allowPrivateNetworks ? lookUp : publicLookup,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: Math.min(addressTimeoutMs, Math.ceil(deadlineMs / addressesTried)),
    },
  });
}
