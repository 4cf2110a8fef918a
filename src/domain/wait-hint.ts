/** The wait that a reply names: "try again in 300 seconds", "Greylisted for 5 minutes", "come back in 00:05:00". */

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

/** Outside these a hint is not one to follow, and the schedule decides: a second is no wait, more than a day is no retry. */
export const minHintMs = secondMs;
export const maxHintMs = 24 * hourMs;

const unitMs: Readonly<Record<string, number>> = { s: secondMs, m: minuteMs, h: hourMs, d: 24 * hourMs };

/** What asks for a wait. Without one a duration may be anything, such as the hour of "100 messages in 1 hour". */
const cue =
  /\b(?:again|retry(?:ing)?|retries|try|back|return|wait(?:ing)?|allow|later|gr[ae]y-?list(?:ed|ing)?|deferr(?:ed|al)|delay(?:ed)?|reconnect|resend|resubmit|blocked|throttled|remaining)\b/i;

/** Small words between the cue and its duration, one character or word at a time so that no input is read twice. */
const between =
  /(?:[\s(,.:;~=-]|\b(?:later|please|then|in|for|after|within|about|at|least|next|another|approximately|around|the|time|allowed|minimum|of|until|more|than|not|before|is)\b){0,24}/i;

const amount =
  /(?<amount>\d{1,6}(?:\.\d{1,2})?|\ban?\b|\bone\b)[ -]{0,2}(?<unit>s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])/i;
const clock = /(?<hours>\d{1,3}):(?<minutes>[0-5]\d):(?<seconds>[0-5]\d)\b/;

const hinted = new RegExp(`${cue.source}${between.source}(?:${clock.source}|${amount.source})`, 'gi');
/** What follows "5 minutes" in "5 minutes and 30 seconds". */
const more = new RegExp(`(?:,? and|,)? ?${amount.source}`, 'iy');

/** @returns milliseconds, null where no wait is named or none that is worth following */
export function waitHint(text: string): number | null {
  for (const match of text.matchAll(hinted)) {
    const waitMs = match.groups?.hours === undefined ? sumFrom(text, match) : clockMs(match);
    return waitMs >= minHintMs && waitMs <= maxHintMs ? waitMs : null;
  }
  return null;
}

function clockMs({ groups }: RegExpMatchArray): number {
  return Number(groups?.hours) * hourMs + Number(groups?.minutes) * minuteMs + Number(groups?.seconds) * secondMs;
}

function sumFrom(text: string, first: RegExpMatchArray): number {
  more.lastIndex = (first.index ?? 0) + first[0].length;
  const second = more.exec(text);
  return Math.round(amountMs(first) + (second === null ? 0 : amountMs(second)));
}

function amountMs({ groups }: RegExpMatchArray): number {
  const number = /\d/.test(groups?.amount ?? '') ? Number(groups?.amount) : 1;
  return number * (unitMs[groups?.unit?.[0]?.toLowerCase() ?? ''] ?? 0);
}
