/** Chooses the media type of an answer by the request's Accept header (RFC 9110 section 12.5.1). */

type Range = { readonly type: string; readonly q: number };

/**
 * The type with the highest quality; of equal ones the first. When no type is acceptable it is the first of all: an answer says more than a 406.
 */
export function preferred<T extends string>(accept: string | undefined, have: readonly [T, ...T[]]): T {
  const ranges = rangesIn(accept ?? '*/*');
  const [first, ...others] = have.map((type) => ({ type, q: qualityOf(type, ranges) }));
  return others.reduce((best, one) => (one.q > best.q ? one : best), first ?? { type: have[0], q: 0 }).type;
}

/** The types that the Accept header names without wildcards. */
export function namedTypes(accept: string): ReadonlySet<string> {
  const ranges = rangesIn(accept);
  return new Set(ranges.filter(({ type, q }) => q > 0 && !type.includes('*')).map(({ type }) => type));
}

function rangesIn(accept: string): Range[] {
  return accept.split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    // A weight that is not a valid number counts as 1, as if it were missing.
    const q = weight === undefined || !/^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? 1 : Number(weight);
    return { type, q };
  });
}

/** The most specific range decides: the type itself, then `kind/*`, then any type. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const kind = `${type.slice(0, type.indexOf('/'))}/*`;
  for (const near of [type, kind, '*/*']) {
    const matching = ranges.filter((range) => range.type === near);
    if (matching.length > 0) return Math.max(...matching.map(({ q }) => q));
  }
  return 0;
}
