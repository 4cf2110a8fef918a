/** Headers that a relay takes for instructions in JSON: which of them would send the email to others than its own recipients. */
import { isObject } from './json-object.ts';

/** Each with a value that does so. */
export const relayInstructions = [
  // SendGrid
  { header: 'X-SMTPAPI', fields: 'to', example: '{"to":["other@example.com"]}' },
  {
    header: 'X-SMTPAPI',
    fields: 'filters.bcc',
    example: '{"filters":{"bcc":{"settings":{"enable":1,"email":"other@example.com"}}}}',
  },
  // SparkPost
  { header: 'X-MSYS-API', fields: 'cc', example: '{"cc":[{"email":"other@example.com"}]}' },
  { header: 'X-MSYS-API', fields: 'bcc', example: '{"bcc":[{"email":"other@example.com"}]}' },
  { header: 'X-MSYS-API', fields: 'archive', example: '{"archive":[{"email":"other@example.com"}]}' },
] as const;

/** Lower-case names of headers that have such instructions. */
export const instructionHeaders: readonly string[] = relayInstructions.map(({ header }) => header.toLowerCase());

/** A string of JSON, with the colon that makes it the name of a field. */
const stringForm = /"(?:[^"\\]|\\.)*"(\s*:)?/g;

/** What is wrong with such a header, or null. @param name in lower case */
export function instructionsFault(name: string, value: string): string | null {
  if (!instructionHeaders.includes(name)) return null;
  const read = readObject(value);
  if (read === null) return 'must be a JSON object: a relay reads instructions in it';
  const rows = relayInstructions.filter(({ header }) => header.toLowerCase() === name);
  const row = rows.find(({ fields }) => hasField(read, fields.split('.')));
  if (row !== undefined) return `must not name recipients (${row.fields}): give them in to, cc and bcc of the email`;
  // Another reader may take the first one, or both.
  return countFields(value) === countFields(JSON.stringify(read)) ? null : 'must not have a field twice';
}

function readObject(text: string): object | null {
  try {
    const read: unknown = JSON.parse(text);
    return isObject(read) ? read : null;
  } catch {
    return null;
  }
}

/** In any case: some readers make no difference. */
function hasField(value: unknown, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return true;
  return (
    isObject(value) && Object.entries(value).some(([key, inner]) => key.toLowerCase() === name && hasField(inner, rest))
  );
}

/** In text that is JSON. */
function countFields(json: string): number {
  return [...json.matchAll(stringForm)].filter(([, colon]) => colon !== undefined).length;
}
