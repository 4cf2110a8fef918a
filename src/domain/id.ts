/** Ids: a prefix that says what it is, then 26 characters that sort by time (ULID, Crockford base 32, lower case). */

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

export type IdPrefix = 'em' | 'wh' | 'rq' | 'mi' | 'at';

/**
 * `em_01k…`: 48 bits of milliseconds and 80 bits of `entropy`.
 * @param entropy at least 10 random bytes; the caller draws them.
 */
export function makeId(prefix: IdPrefix, nowMs: number, entropy: Uint8Array): string {
  let time = '';
  for (let rest = nowMs, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) time = alphabet[rest % 32] + time;
  let chance = '';
  let bits = 0;
  let held = 0;
  for (const byte of entropy.subarray(0, 10)) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      chance += alphabet[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return `${prefix}_${time}${chance}`;
}

/** The n-th event of an email. Made of the email's own id, so committing the same event twice cannot make two ids. */
export function eventId(emailId: string, sequence: number): string {
  return `ev_${emailId.slice(emailId.indexOf('_') + 1)}_${sequence}`;
}
