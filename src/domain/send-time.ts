/** When to send: an instant, or from when it is asked for, as people who send by the Resend API write it: `in 1 min`. */
import { z } from 'zod';
import { instant, shortOffset, withFullOffset } from './email-fields.ts';

const unitMs: Readonly<Record<string, number>> = { min: 60_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const relative = /^in (\d{1,6}) (min|minute|hour|day)s?$/;

/** Words for both forms. */
export const sendTimeWords = 'ISO 8601 with an offset, or `in 5 minutes`, `in 1 hour`, `in 3 days`; up to a year ahead';

/** @returns milliseconds since the epoch; null when the text names no time of that kind */
export function timeFrom(text: string, now: number): number | null {
  const [, count, unit = ''] = relative.exec(text) ?? [];
  return count === undefined ? null : now + Number(count) * (unitMs[unit] ?? 0);
}

/** Either of both, as milliseconds since the epoch. */
export function sendTime({ now }: { now(): number }) {
  return z
    .unknown()
    .transform((given, context): number => {
      const at = typeof given === 'string' ? timeFrom(given, now()) : null;
      if (at !== null) return at;
      const read = instant.safeParse(typeof given === 'string' ? withFullOffset(given) : given);
      if (read.success) return read.data;
      const message = given === undefined ? 'is required' : (read.error.issues[0]?.message ?? 'is no time');
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .meta({
      anyOf: [
        { type: 'string', format: 'date-time' },
        { type: 'string', pattern: shortOffset },
        { type: 'string', pattern: '^in \\d{1,6} (min|minute|hour|day)s?$' },
      ],
    });
}
