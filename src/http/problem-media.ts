/** The media types of an error, and which of them a caller gets. */
import { namedTypes } from './accept-header.ts';

/** The body is the same for both. */
export const problemMedia = ['application/problem+json', 'application/json'] as const;

/**
 * The type of RFC 9457, unless the caller names plain JSON and not that type, or sends no Accept header: some SDKs parse an error only when it
 * is plain JSON.
 */
export function problemTypeFor(accept: string | undefined): (typeof problemMedia)[number] {
  const [problem, json] = problemMedia;
  const types = namedTypes(accept ?? json);
  return types.has(json) && !types.has(problem) ? json : problem;
}
