/** Ids: a prefix for the kind, then 26 characters that sort by time (ULID, Crockford base 32, lower case). */

export const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
/** The value of each character, by its code. */
const digits = new Uint8Array(128);
for (const [value, character] of [...alphabet].entries()) digits[character.charCodeAt(0)] = value;

export type IdPrefix = 'ak' | 'cm' | 'em' | 'wh' | 'rq' | 'mi' | 'at' | 'ch' | 'jb' | 'ev' | 'sp' | 'tp';

/** Bytes of an id without its prefix: 6 of time, 10 random. */
export const idByteLength = 16;
const ulidLength = 26;

export const campaignIdLength = 'cm_'.length + ulidLength;

export function idForm(prefix: IdPrefix): RegExp {
  return new RegExp(`^${prefix}_[0-7][0-9a-hjkmnp-tv-z]{25}$`);
}

export const emailIdForm = idForm('em');
export const campaignIdForm = idForm('cm');
export const templateIdForm = idForm('tp');
export const suppressionIdForm = idForm('sp');

/**
 * `em_01k…`: 48 bits of milliseconds and 80 bits of `entropy`.
 * @param entropy at least 10 random bytes; the caller draws them.
 */
export function makeId(prefix: IdPrefix, nowMs: number, entropy: Uint8Array): string {
  const bytes = Buffer.allocUnsafe(idByteLength);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes.set(entropy.subarray(0, 10), 6);
  return idFromBytes(prefix, bytes);
}

/** The 16 bytes of an id. They sort as the ids do. */
export function idBytes(id: string): Buffer {
  const bytes = Buffer.allocUnsafe(idByteLength);
  const from = id.length - ulidLength;
  // 26 characters carry 130 bits: the first two are 0.
  let held = digitAt(id, from);
  let bits = 3;
  for (let i = 1, at = 0; i < ulidLength; i++) {
    held = ((held & 0xff) << 5) | digitAt(id, from + i);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = held >> bits;
  }
  return bytes;
}

function digitAt(id: string, at: number): number {
  return digits[id.charCodeAt(at)] ?? 0;
}

/** @param bytes as `idBytes` gives them */
export function idFromBytes(prefix: IdPrefix, bytes: Uint8Array): string {
  let text = `${prefix}_`;
  let held = 0;
  let bits = 2;
  for (let i = 0; i < idByteLength; i++) {
    held = ((held & 0x1f) << 8) | (bytes[i] ?? 0);
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(held >> bits) & 31];
    }
  }
  return text;
}

/** When an id was made, milliseconds since the epoch: its first ten characters hold 50 bits, of which the first two are 0. */
export function timeOfId(id: string): number {
  const from = id.length - ulidLength;
  let time = 0;
  for (let i = from; i < from + 10; i++) time = time * 32 + digitAt(id, i);
  return time;
}

/** The id of the n-th event of an email. Derived from the email's id, so that committing the same event twice cannot make two ids. */
export function eventId(emailId: string, sequence: number): string {
  return `ev_${emailId.slice(emailId.indexOf('_') + 1)}_${sequence}`;
}

/** Bytes of an email's id that hold its place in the campaign. The id of the campaign has zeros there. */
const placeBytes = 3;
/** Places a campaign can have. */
export const maxPlaces = 256 ** placeBytes;

/** `cm_…`: like any other id, except that its last bytes are zero, for the places of its recipients. */
export function makeCampaignId(nowMs: number, entropy: Uint8Array): string {
  return campaignIdIn(makeId('cm', nowMs, entropy));
}

/** The id of the email to the recipient at a place. Derived from both, so that a million emails need no stored ids. */
export function placeId(campaignId: string, place: number): string {
  // The last 25 bits of an id are its last five characters. The first of these bits belongs to the campaign.
  const from = campaignId.length - 5;
  const last = (digitAt(campaignId, from) << 20) | place;
  let text = `em${campaignId.slice('cm'.length, from)}`;
  for (let shift = 20; shift >= 0; shift -= 5) text += alphabet[(last >> shift) & 31];
  return text;
}

/** The campaign and place that an email id would belong to. Any id can be read this way; whether the campaign exists is another question. */
export function placeIn(emailId: string): { readonly campaignId: string; readonly place: number } {
  return {
    campaignId: campaignIdIn(emailId),
    place: idBytes(emailId).readUIntBE(idByteLength - placeBytes, placeBytes),
  };
}

function campaignIdIn(id: string): string {
  return idFromBytes('cm', idBytes(id).fill(0, idByteLength - placeBytes));
}
