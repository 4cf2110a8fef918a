/** Writes Content-Disposition (RFC 6266, RFC 8187) for a name that somebody else chose. */

const maxNameLength = 200;
/** Characters that end a header or a quoted string, leave a folder, or turn the reading direction, so that `fdp.exe` looks like `exe.pdf`. */
const unsafe = /[\p{Cc}\p{Cs}"\\/\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

export function contentDisposition(kind: 'inline' | 'attachment', filename: string): string {
  const name = filename.toWellFormed().slice(0, maxNameLength).toWellFormed().replace(unsafe, '_');
  const ascii = name.replace(/[^ -~]|%/g, '_');
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
  return `${kind}; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
