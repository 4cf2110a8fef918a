/** Replaces `${NAME}` and `${file:/path}` in a text; `$$` is a dollar sign. */

export type FileRead = { readonly text: string } | { readonly fault: string };

export type Sources = {
  /** undefined when the variable is not set. */
  variable(name: string): string | undefined;
  /** A fault says why the file cannot be read, such as `is not there`. */
  file(path: string): FileRead;
};

const place = /\$(?:\$|\{([^}]*)\}?)/g;

/** Faults name the variable or file, never its content. Line ends at the end of a file are dropped. */
export function fill(template: string, sources: Sources): { readonly text: string; readonly faults: string[] } {
  const faults: string[] = [];
  const isRaw = rawPlaces(template);
  const text = template.replace(place, (whole: string, inside: string | undefined, at: number) => {
    if (inside === undefined) return '$';
    const found = whole.endsWith('}') ? look(inside, sources) : { fault: malformed };
    if ('text' in found) return isRaw(at) ? found.text : encodeURIComponent(found.text.toWellFormed());
    faults.push(found.fault);
    return '';
  });
  return { text, faults };
}

const malformed = 'has $ and a brace that are neither a variable nor a file: write $$ for a dollar';

function look(inside: string, { variable, file }: Sources): FileRead {
  if (inside.startsWith('file:')) {
    const path = inside.slice('file:'.length);
    const read = file(path);
    return 'text' in read ? { text: read.text.replace(/[\r\n]+$/, '') } : { fault: `the file ${path} ${read.fault}` };
  }
  if (!/^[A-Za-z_]\w*$/.test(inside)) return { fault: malformed };
  const text = variable(inside);
  return text === undefined ? { fault: `the variable ${inside} is not set` } : { text };
}

/**
 * In a URL a value is data and is escaped: a password with / or @ cannot be read as a host. Only a value that is the host or the
 * whole URL is not escaped.
 */
function rawPlaces(template: string): (at: number) => boolean {
  const shape = template.replace(place, (whole) => 'x'.repeat(whole.length));
  const [scheme] = /^smtps?:\/\//i.exec(shape) ?? [];
  if (scheme === undefined) return () => true;
  const [authority = ''] = /^[^/?#]*/.exec(shape.slice(scheme.length)) ?? [];
  const hostAt = scheme.length + authority.lastIndexOf('@') + 1;
  return (at) => at >= hostAt && at < scheme.length + authority.length;
}
