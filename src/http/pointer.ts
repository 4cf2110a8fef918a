/** JSON pointers (RFC 6901) for people to read, and how much of the input an error repeats. */

/** Characters of the input that an error repeats: enough to find it, too few to flood an answer or a log. */
const maxRepeated = 80;

/** The text, shortened to what an error may repeat. */
export function shortened(text: string): string {
  return text.length > maxRepeated ? `${text.slice(0, maxRepeated - 1)}…` : text;
}

/** A JSON pointer (RFC 6901) with each part shortened. */
export function toPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${shortened(String(part)).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
