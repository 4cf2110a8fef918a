/** Which addresses a campaign has already: 64 bits of each in one of many small sets, which Redis keeps as sorted numbers. */
import { hash } from 'node:crypto';
import { suppressedForm } from '../domain/suppression.ts';
import { keys } from './keys.ts';

/** A million addresses are 250 in each: sets of over 512 would take eight times as much. */
export const addressBuckets = 4_096;

/** Where an address is looked for: the key of its set, and what stands there for it. */
export type AddressMark = { readonly key: string; readonly member: string };

/** The same for addresses that are one mailbox: in whatever case they are written. */
export function markOf(campaignId: string, address: string): AddressMark {
  const bytes = hash('sha256', suppressedForm(address), 'buffer');
  const bucket = bytes.readUInt16BE(0) % addressBuckets;
  return { key: keys.campaignAddresses(campaignId, bucket), member: String(bytes.readBigInt64BE(2)) };
}
