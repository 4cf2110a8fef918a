/** Whether a campaign may be sent to a list as it was uploaded, and what to do where it may not. */
import type { Uploaded } from './campaign-list.ts';

/** Lines at fault that are named; of the rest there is the number. */
const maxNamed = 50;

export function wordsOf({ received, added, duplicates, invalid, errors }: Uploaded): string {
  const named = errors.slice(0, maxNamed);
  const more = invalid - named.length;
  return [
    `${received} records: ${added} added, ${duplicates} duplicates, ${invalid} invalid`,
    ...named.map(({ line, message }) => `  line ${line}: ${message}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    '',
  ].join('\n');
}

/** `skippable` is sent with `--skip-invalid`, to all others. */
export type Reason = { readonly words: string; readonly skippable: boolean };

/** Why it is not to be sent; null where it is. */
export function reasonAgainst(uploaded: Uploaded, skipsInvalid: boolean): Reason | null {
  const { received, added, duplicates, invalid, complete, errors, missing_variables: missing } = uploaded;
  const last = errors.at(-1);
  if (!complete) {
    const at = last === undefined ? '' : `, line ${last.line}: ${last.message}`;
    return { words: `the list breaks off${at}. Nobody behind that was read`, skippable: false };
  }
  if (added + duplicates === 0) return { words: 'nobody in the list can be sent to', skippable: false };
  if (missing.length > 0)
    return { words: `the letters ask for ${missing.join(', ')}, which no record has`, skippable: false };
  if (invalid > 0 && !skipsInvalid)
    return { words: `${invalid} of ${received} records are not valid`, skippable: true };
  return null;
}

export type HeldBack = {
  readonly list: string;
  readonly id: string;
  /** The command that gives it up; null where it was removed, as it was made for this list. */
  readonly left: string | null;
  /** The command that sends what was mended. */
  readonly again: string;
};

/** A draft that stays has whoever was valid, with the values they came with: what was mended is no cure for those. */
export function heldBack({ words, skippable }: Reason, { list, id, left, again }: HeldBack): string {
  const lines =
    left === null
      ? [`Not sent: ${words}. ${id} was removed.`, `Mend ${list}, and send it: ${again}`]
      : [
          `Not sent: ${words}. ${id} is a draft, and has all the others.`,
          `It keeps whoever it has, whatever is mended in ${list}: send that as a new campaign.`,
          `This one is given up by: ${left}`,
        ];
  return [...lines, ...(skippable ? [`Or send it without them: ${again} --skip-invalid`] : [])].join('\n');
}
