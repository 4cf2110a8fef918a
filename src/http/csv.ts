/** Writes lines of CSV (RFC 4180). A spreadsheet takes nothing in them for a formula, except in an address that looks like one. */

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
 * What a spreadsheet would take for a formula gets an apostrophe before it, as OWASP recommends: at the head of a field, and where a spreadsheet
 * begins a cell that splits at semicolons, tabs or line ends, even of a quoted field. So does what has apostrophes before a formula, so that
 * `textIn` can undo it.
 */
function asText(field: string): string {
  return field.replace(/^(?='*[=+\-@\t\r])|(?<=[;\t\r\n])(?=[ "']*[=+\-@])/g, "'");
}

/** Reads back a field that `csvLine` wrote. */
export function textIn(field: string): string {
  return field.replace(/^'(?='*[=+\-@\t\r])|(?<=[;\t\r\n])'(?=[ "']*[=+\-@])/g, '');
}

function line(fields: readonly string[]): string {
  return `${fields.map(quoted).join(',')}\r\n`;
}

function quoted(field: string): string {
  return /[",;\t\r\n]|^\s|\s$/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
