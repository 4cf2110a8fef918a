/** The tree of a MIME message (RFC 2046): what stands inside what, which parsers for reading mail flatten away. */

export type MimePart = {
  readonly type: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly children: readonly MimePart[];
  readonly body: string;
};

export function readMimeTree(raw: string): MimePart {
  const end = raw.indexOf('\r\n\r\n');
  const lines = raw
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const [, name = '', value = ''] = /^([^:]+): ?(.*)$/.exec(line) ?? [];
      return [name.toLowerCase(), value] as const;
    }),
  );
  const contentType = headers.get('content-type') ?? 'text/plain';
  const [type = ''] = contentType.split(';');
  const body = raw.slice(end + 4);
  const boundary = type.startsWith('multipart/') ? /boundary="?([^";]+)/.exec(contentType)?.[1] : undefined;
  const pieces = boundary === undefined ? [] : `\r\n${body}`.split(`\r\n--${boundary}`).slice(1, -1);
  return { type, headers, body, children: pieces.map((piece) => readMimeTree(piece.slice(2))) };
}

/** The types of a tree, each line indented by two spaces a level. */
export function outline(part: MimePart): string[] {
  return [part.type, ...part.children.flatMap((child) => outline(child).map((line) => `  ${line}`))];
}

export function allParts(part: MimePart): MimePart[] {
  return [part, ...part.children.flatMap(allParts)];
}
