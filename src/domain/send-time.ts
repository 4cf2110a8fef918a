/** Times in requests: a point in time, or a time to send relative to the request, as users of the Resend API write it: `in 1 min`. */
import { z } from 'zod';

/** ISO 8601 as Java and `strftime` write it: seconds that are zero may be missing, and so may the colon or the minutes of the offset. */
const shortForm = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?(Z|[+-]\\d{2}(:?\\d{2})?)$';
const isShort = new RegExp(shortForm);
/** RFC 3339, which needs seconds and a full offset. */
const fullTime = z.iso.datetime({ offset: true });

/** @returns milliseconds since the epoch; null when it is no time with an offset */
function instantIn(given: unknown): number | null {
  const text = typeof given === 'string' && isShort.test(given) ? inFull(given) : given;
  const read = fullTime.safeParse(text);
  return read.success ? Date.parse(read.data) : null;
}

function inFull(time: string): string {
  return time
    .replace(/(T\d{2}:\d{2})(?=[Z+-])/, '$1:00')
    .replace(/([+-]\d{2}):?(\d{2})?$/, (_, hours, minutes = '00') => `${hours}:${minutes}`);
}

const instantFault = 'must be an ISO 8601 time with an offset, such as 2030-01-31T09:00:00Z';

const dayAtStart = /^\d{4}-\d{2}-\d{2}(?=T)/;

/** A query reads a plus as a space. */
const lostPlus = /T[\d:.]+ \d{2}/;

/** A point in time, in milliseconds since the epoch. */
export const instant = timeBy(instantIn, instantFault, shortForm);

const unitMs: Readonly<Record<string, number>> = {
  sec: 1_000,
  second: 1_000,
  min: 60_000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 7 * 86_400_000,
};
/** Names of days and clock times (`tomorrow at 9am`) are not accepted: they need a time zone, and a wrong guess sends at a wrong time. */
const relative = new RegExp(`^in (\\d{1,6}) (${Object.keys(unitMs).join('|')})s?$`);

/** Describes both forms. */
export const sendTimeWords = 'ISO 8601 with an offset, or `in 5 minutes`, `in 1 hour`, `in 3 days`; up to a year ahead';

/** @returns milliseconds since the epoch; null when it has neither form */
export function sendTimeIn(given: unknown, now: number): number | null {
  const [, count, unit = ''] = typeof given === 'string' ? (relative.exec(given) ?? []) : [];
  return count === undefined ? instantIn(given) : now + Number(count) * (unitMs[unit] ?? 0);
}

/** Either form, as milliseconds since the epoch. */
export function sendTime({ now }: { now(): number }) {
  const form = `${shortForm}|${relative.source}`;
  return timeBy((given) => sendTimeIn(given, now()), `${instantFault}, or like \`in 5 minutes\``, form);
}

/** @param pattern for the API document. One pattern, not several forms: generators make code of those that does not compile (Java). */
function timeBy(read: (given: unknown) => number | null, fault: string, pattern: string) {
  return z
    .unknown()
    .transform((given, context): number => {
      const at = read(given);
      if (at !== null) return at;
      context.addIssue({ code: 'custom', message: given === undefined ? 'is required' : faultOf(given, fault) });
      return z.NEVER;
    })
    .meta({ type: 'string', pattern });
}

function faultOf(given: unknown, fault: string): string {
  const [day] = typeof given === 'string' ? (dayAtStart.exec(given) ?? []) : [];
  if (day !== undefined && !z.iso.date().safeParse(day).success) return `is on ${day}, and there is no such day`;
  return typeof given === 'string' && lostPlus.test(given) ? `${fault}; in a URL, write + as %2B` : fault;
}
