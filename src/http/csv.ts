/** Lines of CSV (RFC 4180), in which nothing but addresses begins as a formula does in a spreadsheet. */

/** An address stays as it is, so that it is the same when it comes back: nobody but its owner could say which is meant. */
const addressColumn = 'email';

export function csvHeader(columns: readonly string[]): string {
  return line(columns);
}

/** @param columns what each of the fields is */
export function csvLine(columns: readonly string[], fields: readonly string[]): string {
  return line(fields.map((field, place) => (columns[place] === addressColumn ? field : asText(field))));
}

/** Text that a spreadsheet would take for a formula stands behind an apostrophe, as OWASP recommends; and so does what has one already. */
function asText(field: string): string {
  return /^'*[=+\-@\t\r]/.test(field) ? `'${field}` : field;
}

/** What stood in a field that `csvLine` wrote. */
export function textIn(field: string): string {
  return /^'+[=+\-@\t\r]/.test(field) ? field.slice(1) : field;
}

function line(fields: readonly string[]): string {
  return `${fields.map(quoted).join(',')}\r\n`;
}

function quoted(field: string): string {
  return /[",\r\n]|^\s|\s$/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
