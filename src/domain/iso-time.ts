/** Times as answers, events and log lines write them: ISO 8601 in UTC, to the millisecond. */

export function isoOf(at: number): string {
  return new Date(at).toISOString();
}

export function isoOrNull(at: number | null): string | null {
  return at === null ? null : isoOf(at);
}
