/** Claims of earlier requests, as the script that stores their emails (email-create.ts) leaves them. */
import { clashMark } from '../domain/idempotency.ts';

/** The result of an earlier request with the same key: ids in its order, '' for a refused email, `clashMark` for one whose own key clashed. */
export type PriorClaim = { readonly bodyHash: string; readonly ids: readonly string[] };

/** @param claim as it is stored; '' for none */
export function readPriorClaim(claim: string): PriorClaim | null {
  return claim === '' ? null : readClaim(claim);
}

/**
 * @param claim `hash id,id,…`, with nothing in place of an id where none was stored. After another space come the places, from 0, of emails whose
 * own key clashed.
 */
export function readClaim(claim: string): PriorClaim {
  const [bodyHash = '', ids = '', clashes = ''] = claim.split(' ');
  const clashed = new Set(clashes.split(','));
  return { bodyHash, ids: ids.split(',').map((id, place) => (clashed.has(String(place)) ? clashMark : id)) };
}
