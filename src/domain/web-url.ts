/** URLs given by callers: one that the URL parser would change silently is refused. */
import { z } from 'zod';

const maxLength = 2_048;

/** A URL as RFC 3986 writes it, without credentials. The parser drops CR, LF and TAB silently, so the text is checked before parsing. */
export function webUrl(protocol: RegExp, error: string) {
  return z
    .string()
    .max(maxLength, { abort: true })
    .regex(/^[\x21-\x7e]*$/, 'must be ASCII without spaces: write everything else as %XX')
    .pipe(z.url({ protocol, error }).refine((url) => !hasCredentials(url), 'must not carry credentials'));
}

function hasCredentials(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { username, password } = new URL(url);
  return username !== '' || password !== '';
}
