/** The media types by which an error goes, and which of them a caller is answered. */
import { named } from './accept.ts';

/** One body under either. */
export const problemMedia = ['application/problem+json', 'application/json'] as const;

/** RFC 9457's own, but to a caller that names plain JSON and not that, or says nothing: there are SDKs that read an error by no other type. */
export function problemTypeFor(accept: string | undefined): (typeof problemMedia)[number] {
  const [problem, json] = problemMedia;
  const types = named(accept ?? json);
  return types.has(json) && !types.has(problem) ? json : problem;
}
