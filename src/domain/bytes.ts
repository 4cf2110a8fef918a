/** Bytes as SDKs write them in JSON when they do not use base64: a list of numbers, or the JSON of a Node.js Buffer. */

/** Null for anything else. */
export function bytesIn(given: unknown): Buffer | null {
  const list = isBufferJson(given) ? given.data : given;
  return Array.isArray(list) && list.every(isByte) ? Buffer.from(list) : null;
}

function isBufferJson(given: unknown): given is { readonly data: unknown } {
  // Object.keys on a list of a million numbers would make a million strings.
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false;
  return 'type' in given && given.type === 'Buffer' && 'data' in given && Object.keys(given).length === 2;
}

function isByte(item: unknown): boolean {
  return Number.isInteger(item) && (item as number) >= 0 && (item as number) <= 255;
}
