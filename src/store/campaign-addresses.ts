/** The addresses that a campaign already has: 64 bits of each, in many small sets, which Redis keeps as sorted numbers. */
import { hash } from 'node:crypto';
import { suppressedForm } from '../domain/suppression.ts';
import { keys } from './keys.ts';

/** A million addresses make sets of 250 entries: sets of over 512 would need eight times the memory. */
export const addressBuckets = 4_096;

/** Where an address is stored: the key of its set, and its member there. */
export type AddressMark = { readonly key: string; readonly member: string };

/** The same for all spellings of an address that differ only in case, or in how their letters are composed. */
export function markOf(campaignId: string, address: string): AddressMark {
  const bytes = hash('sha256', suppressedForm(address), 'buffer');
  const bucket = bytes.readUInt16BE(0) % addressBuckets;
  return { key: keys.campaignAddresses(campaignId, bucket), member: String(bytes.readBigInt64BE(2)) };
}
