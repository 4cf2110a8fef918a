/** What came of fetching an attachment that was given by its URL. */

export type Fetched =
  /** `contentType` is the server's word, unchecked; null when it said nothing. */
  | { readonly kind: 'fetched'; readonly content: Buffer; readonly contentType: string | null }
  /**
   * `detail` names the URL without its query, which often carries a signature; `loggable` no more of it than the host, as a path may be
   * whatever its owner keeps to themselves. Another try cannot help when `isFinal`.
   */
  | { readonly kind: 'fault'; readonly detail: string; readonly loggable: string; readonly isFinal: boolean }
  /** It was not begun: others were being fetched for too long. */
  | { readonly kind: 'busy' };
