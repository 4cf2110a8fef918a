/** Clock, chance and ids, which everything else is handed as arguments. */
import { randomBytes, randomFillSync } from 'node:crypto';
import { type IdPrefix, makeId } from './domain/id.ts';

export const now = () => Date.now();
/** Milliseconds of a clock that never goes back. */
export const monotonicNow = () => performance.now();
export const rand = () => Math.random();
export const entropy = (bytes: number): Buffer => randomBytes(bytes);
/** AES-GCM takes 12 bytes. */
export const newIv = () => entropy(12);

const idEntropyBytes = 10;
/** Drawn for some hundred ids at a time: a draw costs 3 µs, whatever it brings. */
const pool = Buffer.alloc(idEntropyBytes * 400);
let used = pool.length;

export function newId(prefix: IdPrefix): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += idEntropyBytes;
  return makeId(prefix, now(), pool.subarray(used - idEntropyBytes, used));
}
