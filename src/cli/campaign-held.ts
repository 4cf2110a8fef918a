/** Decides whether a campaign may be sent to its list as uploaded, and says what to do when it may not. */
import type { Uploaded } from './campaign-list.ts';

/** Faulty lines that are named; of the others only the number is given. */
const maxNamed = 50;

export function wordsOf({ received, added, duplicates, invalid, errors }: Uploaded): string {
  const named = errors.slice(0, maxNamed);
  const more = invalid - named.length;
  return [
    `${received === 1 ? '1 record' : `${received} records`}: ${added} added, ${duplicates} duplicate, ${invalid} invalid`,
    ...named.map(({ line, message }) => `  line ${line}: ${message}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    '',
  ].join('\n');
}

/** `skippable`: with `--skip-invalid` the campaign is sent to all other recipients. */
type Reason = { readonly words: string; readonly skippable: boolean };

/** Why the campaign must not be sent; null when it may. */
export function reasonAgainst(uploaded: Uploaded, skipsInvalid: boolean): Reason | null {
  const { received, added, duplicates, invalid, complete, errors, missing_variables: missing } = uploaded;
  const last = errors.at(-1);
  if (!complete) {
    const at = last === undefined ? '' : `, line ${last.line}: ${last.message}`;
    return { words: `the list is faulty${at}. Nothing after that was read`, skippable: false };
  }
  if (added + duplicates === 0) return { words: 'the list has no valid recipient', skippable: false };
  if (missing.length > 0)
    return { words: `the emails need ${missing.join(', ')}, which no record has`, skippable: false };
  if (invalid > 0 && !skipsInvalid)
    return { words: `${invalid} of ${received} records are not valid`, skippable: true };
  return null;
}

type HeldBack = {
  readonly list: string;
  readonly id: string;
  /** The command that gives the campaign up; null when it was removed, since it was made for this list. */
  readonly left: string | null;
  /** The command that sends the corrected list. */
  readonly again: string;
};

/** A draft that stays keeps its valid recipients with the values they were uploaded with: correcting the list does not change those. */
export function heldBack({ words, skippable }: Reason, { list, id, left, again }: HeldBack): string {
  const lines =
    left === null
      ? [`Not sent: ${words}. ${id} was removed.`, `Correct ${list}, and send it: ${again}`]
      : [
          `Not sent: ${words}. ${id} is a draft with all other records.`,
          `It keeps these recipients and their values, even if you correct ${list}: send that as a new campaign.`,
          `To cancel the draft: ${left}`,
        ];
  return [...lines, ...(skippable ? [`Or send it without them: ${again} --skip-invalid`] : [])].join('\n');
}
