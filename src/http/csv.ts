/** Writes lines of CSV (RFC 4180). A spreadsheet takes none of their fields for a formula, except an address that looks like one. */

/** Addresses are not changed: when the file comes back, an added apostrophe could not be told from one that belongs to the address. */
const addressColumn = 'email';

export function csvHeader(columns: readonly string[]): string {
  return line(columns);
}

/** @param columns the name of each field */
export function csvLine(columns: readonly string[], fields: readonly string[]): string {
  return line(fields.map((field, place) => (columns[place] === addressColumn ? field : asText(field))));
}

/**
 * A field that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP recommends. So does one that begins with
 * apostrophes before a formula, so that `textIn` can undo it.
 */
function asText(field: string): string {
  return /^'*[=+\-@\t\r]/.test(field) ? `'${field}` : field;
}

/** Reads back a field that `csvLine` wrote. */
export function textIn(field: string): string {
  return /^'+[=+\-@\t\r]/.test(field) ? field.slice(1) : field;
}

function line(fields: readonly string[]): string {
  return `${fields.map(quoted).join(',')}\r\n`;
}

function quoted(field: string): string {
  return /[",\r\n]|^\s|\s$/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
