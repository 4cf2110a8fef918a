/** The wait that a reply names: "try again in 300 seconds", "Greylisted for 5 minutes", "come back in 00:05:00", "in five minutes", "PT5M". */

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

/** A wait outside these limits is ignored, and the schedule decides: less than a second is no wait, more than a day is no retry. */
const minHintMs = secondMs;
const maxHintMs = 24 * hourMs;

const unitMs: Readonly<Record<string, number>> = { s: secondMs, m: minuteMs, h: hourMs, d: 24 * hourMs };

/** Words that ask for a wait. Without them a duration may mean anything, such as the hour of "100 messages in 1 hour". */
const cue =
  /\b(?:again|retry(?:ing)?|retries|try|back|return|wait(?:ing)?|allow|allowed(?= after)|later|gr[ae]y-?list(?:ed|ing)?|deferr(?:ed|al)|delay(?:ed)?|reconnect|resend|resubmit|blocked|throttled|remaining)\b/i;

/** Small words between the request and its duration, matched one character or word at a time, so that no input is read twice. */
const between =
  /(?:[\s(,.:;~=-]|\b(?:later|please|then|in|for|after|within|about|at|least|next|another|approximately|around|the|time|allowed|minimum|of|until|more|than|not|before|is)\b){0,24}/i;

const words: Readonly<Record<string, number>> = {
  a: 1,
  an: 1,
  one: 1,
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  eight: 8,
  nine: 9,
  ten: 10,
  twelve: 12,
  fifteen: 15,
  twenty: 20,
  thirty: 30,
  forty: 40,
  'forty-five': 45,
  sixty: 60,
  ninety: 90,
};
/** The longer ones first: "forty-five" begins with "forty". */
const inWords = Object.keys(words).toSorted((one, other) => other.length - one.length);
const amount = new RegExp(
  String.raw`(?<amount>\d{1,6}(?:\.\d{1,2})?|\b(?:${inWords.join('|')})\b)[ -]{0,2}(?<unit>s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])`,
  'i',
);
/** ISO 8601, up to hours: "PT1H30M". */
const iso = /\bPT(?=\d)(?:(?<hoursIso>\d{1,3})H)?(?:(?<minutesIso>\d{1,4})M)?(?:(?<secondsIso>\d{1,6})S)?(?![a-z\d])/i;
const clock = /(?<hours>\d{1,3}):(?<minutes>[0-5]\d):(?<seconds>[0-5]\d)\b/;

const hinted = new RegExp(`${cue.source}${between.source}(?:${clock.source}|${iso.source}|${amount.source})`, 'gi');
/** A further amount, as "30 seconds" in "5 minutes and 30 seconds". */
const more = new RegExp(`(?:,? and|,)? ?${amount.source}`, 'iy');

/** @returns milliseconds; null when no wait is named, or none within the limits */
export function waitHint(text: string): number | null {
  for (const match of text.matchAll(hinted)) {
    const waitMs = match.groups?.unit === undefined ? clockMs(match) : sumFrom(text, match);
    return waitMs >= minHintMs && waitMs <= maxHintMs ? waitMs : null;
  }
  return null;
}

function clockMs({ groups = {} }: RegExpMatchArray): number {
  const count = (name: string) => Number(groups[name] ?? groups[`${name}Iso`] ?? 0);
  return count('hours') * hourMs + count('minutes') * minuteMs + count('seconds') * secondMs;
}

function sumFrom(text: string, first: RegExpMatchArray): number {
  more.lastIndex = (first.index ?? 0) + first[0].length;
  const second = more.exec(text);
  return Math.round(amountMs(first) + (second === null ? 0 : amountMs(second)));
}

function amountMs({ groups }: RegExpMatchArray): number {
  const said = groups?.amount?.toLowerCase() ?? '';
  const number = words[said] ?? Number(said);
  return number * (unitMs[groups?.unit?.[0]?.toLowerCase() ?? ''] ?? 0);
}
