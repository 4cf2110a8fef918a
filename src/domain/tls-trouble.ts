/** Puts trouble of TLS into words. */

/** An error as OpenSSL tells it: thread, code, library, function and reason, then the place in its source and details. */
const entry = /(?:[0-9A-F]{1,16}:)?error:[0-9A-F]{8}:([^:\n]*):[^:\n]*:([^:\n]*)(?::[^\n]*)?\n?/g;

/** What Node.js advises after an untrusted certificate. It speaks to those who start Node.js, not to those who set a CA in our configuration. */
const adviceOfNode = /; if the root CA is installed locally, try running Node\.js with --use-system-ca/g;

/**
 * The message with only library and reason of what OpenSSL tells. The thread differs from process to process, so the same trouble would look
 * like another each time.
 */
export function inPlainWords(message: string): string {
  return message
    .replace(adviceOfNode, '')
    .replace(entry, (told: string, library: string, reason: string, at: number) => {
      const isLast = at + told.length === message.length;
      return `${library}: ${reason}${isLast ? '' : '; '}`;
    });
}
