/** Tables of figures for a terminal. */

export type Row = readonly string[];

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function table(head: Row, rows: readonly Row[], sides: readonly ('left' | 'right')[] = ['left']): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  const line = (row: Row) =>
    widths
      .map((width, i) =>
        (sides[i] ?? 'right') === 'left' ? (row[i] ?? '').padEnd(width) : (row[i] ?? '').padStart(width),
      )
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}
