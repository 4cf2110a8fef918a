/** Attachments that are given by their URL: which one is missing, and the result of fetching it. */
import type { AttachmentSource, Content } from './email.ts';

/** A file that must be fetched before its email can be sent. */
export type MissingFile = {
  readonly kind: 'missing_file';
  /** Its place among the attachments. */
  readonly place: number;
  readonly filename: string;
  readonly url: string;
  /** How large it may be. */
  readonly maxBytes: number;
};

/**
 * The first file that is still to be fetched; null when all are there.
 * @param maxBytes of all files of one email
 */
export function missingFileOf({ attachments }: Content, maxBytes: number): MissingFile | null {
  const place = attachments.findIndex(({ source }) => source.kind === 'url');
  const missing = attachments[place];
  if (missing?.source.kind !== 'url') return null;
  const left = maxBytes - attachments.reduce((sum, { source }) => sum + bytesOf(source), 0);
  return { kind: 'missing_file', place, filename: missing.filename, url: missing.source.url, maxBytes: left };
}

function bytesOf(source: AttachmentSource): number {
  return source.kind === 'file' ? source.bytes : 0;
}

/** The host of a URL, without its port: all servers of a host may hang with it. */
export function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? '';
}

export type Fetched =
  /** `contentType` is what the server said, unchecked; null when it said nothing. */
  | { readonly kind: 'fetched'; readonly content: Buffer; readonly contentType: string | null }
  /**
   * `detail` names the URL without its query, which often holds a signature. `loggable` names only the host, since a path may be secret too.
   * `isFinal` means that another try cannot help.
   */
  | { readonly kind: 'fault'; readonly detail: string; readonly loggable: string; readonly isFinal: boolean }
  /** Nothing is known of the file: others took too long, its email has expired, or this process stops. */
  | { readonly kind: 'put_off' };

/** What a fetch counts as. */
export const fetchOutcomes = ['fetched', 'fault', 'put_off'] as const satisfies readonly Fetched['kind'][];
