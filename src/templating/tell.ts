/** Puts errors of parsing and rendering into words. */
import { LiquidError } from 'liquidjs';
import { LimitError } from './limits.ts';

const maxLength = 200;

/** Continues the name of a part: `line 3, column 7: tag "foo" is not known`. */
export function tell(error: unknown): string {
  if (error instanceof LimitError) return error.message;
  if (error instanceof RangeError && /stack|length/.test(error.message)) return 'is too long, or too deep';
  if (!(error instanceof Error)) return 'is not valid';
  const inner = LiquidError.is(error) ? error.originalError : undefined;
  if (inner instanceof LimitError || inner instanceof RangeError || LiquidError.is(inner)) return tell(inner);
  if (/memory alloc limit/.test(error.message)) return 'makes more text, or longer lists, than one letter may';
  const what = wordsOf(error.message.replace(/, (?:file:.*, )?line:\d+, col:\d+$/, ''));
  if (!LiquidError.is(error)) return what;
  const [line, column] = error.token.getPosition();
  return `line ${line}, column ${column}: ${what}`;
}

function wordsOf(message: string): string {
  const words = message
    .replace(/^undefined filter: (.*)$/, 'filter "$1" is not known here')
    .replace(/^tag "(.*)" not found$/, 'tag "$1" is not known here')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .toWellFormed();
  return words.length > maxLength ? `${words.slice(0, maxLength - 1)}…` : words;
}
