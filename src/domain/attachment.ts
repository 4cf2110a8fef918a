/** The result of fetching an attachment that was given by its URL. */

export type Fetched =
  /** `contentType` is what the server said, unchecked; null when it said nothing. */
  | { readonly kind: 'fetched'; readonly content: Buffer; readonly contentType: string | null }
  /**
   * `detail` names the URL without its query, which often holds a signature. `loggable` names only the host, since a path may be secret too.
   * `isFinal` means that another try cannot help.
   */
  | { readonly kind: 'fault'; readonly detail: string; readonly loggable: string; readonly isFinal: boolean }
  /** The fetch did not begin: others took too long. */
  | { readonly kind: 'busy' };
