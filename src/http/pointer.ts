/** JSON pointers (RFC 6901) for people to read, and how much of what was given an error repeats. */

/** Characters of anything given that an error repeats: enough to find it, too few to flood an answer or a log. */
const maxRepeated = 80;

/** The text, or as much of it as an error may repeat. */
export function cut(text: string): string {
  return text.length > maxRepeated ? `${text.slice(0, maxRepeated - 1)}…` : text;
}

/** RFC 6901, each part cut. */
export function toPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${cut(String(part)).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
