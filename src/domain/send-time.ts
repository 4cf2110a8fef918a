/** The time to send: a fixed time, or one relative to the request, as users of the Resend API write it: `in 1 min`. */
import { z } from 'zod';
import { instant, shortOffset, withFullOffset } from './email-fields.ts';

const unitMs: Readonly<Record<string, number>> = {
  ...{ sec: 1_000, second: 1_000, min: 60_000, minute: 60_000 },
  ...{ hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000 },
};
/** Names of days and clock times (`tomorrow at 9am`) are not accepted: they need a time zone, and a wrong guess sends at a wrong time. */
const relative = new RegExp(`^in (\\d{1,6}) (${Object.keys(unitMs).join('|')})s?$`);

/** Describes both forms. */
export const sendTimeWords = 'ISO 8601 with an offset, or `in 5 minutes`, `in 1 hour`, `in 3 days`; up to a year ahead';

const fault = 'must be an ISO 8601 time with an offset, such as 2030-01-31T09:00:00Z, or like `in 5 minutes`';

/** @returns milliseconds since the epoch; null when the text is no relative time */
export function timeFrom(text: string, now: number): number | null {
  const [, count, unit = ''] = relative.exec(text) ?? [];
  return count === undefined ? null : now + Number(count) * (unitMs[unit] ?? 0);
}

/** Either form, as milliseconds since the epoch. */
export function sendTime({ now }: { now(): number }) {
  return z
    .unknown()
    .transform((given, context): number => {
      const at = typeof given === 'string' ? timeFrom(given, now()) : null;
      if (at !== null) return at;
      const read = instant.safeParse(typeof given === 'string' ? withFullOffset(given) : given);
      if (read.success) return read.data;
      context.addIssue({ code: 'custom', message: given === undefined ? 'is required' : fault });
      return z.NEVER;
    })
    .meta({
      anyOf: [
        { type: 'string', format: 'date-time' },
        { type: 'string', pattern: shortOffset },
        { type: 'string', pattern: relative.source },
      ],
    });
}
