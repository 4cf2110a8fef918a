/** Shows a rate limit in headers: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers), and the older three. */
import { tightest, type WindowLeft, windowName } from '../domain/rate.ts';

/** One item for each window, named after it. The older three can show only one window: the tightest. */
export function rateLimitHeaders(windows: readonly WindowLeft[]): Record<string, string | number> {
  const [first, ...more] = windows;
  if (first === undefined) return {};
  const tight = tightest([first, ...more]);
  return {
    'ratelimit-policy': listOf(windows, ({ count, windowMs }) => `q=${count};w=${windowMs / 1_000}`),
    ratelimit: listOf(windows, ({ remaining, resetMs }) => `r=${remaining};t=${toSeconds(resetMs)}`),
    'ratelimit-limit': tight.count,
    'ratelimit-remaining': tight.remaining,
    'ratelimit-reset': toSeconds(tight.resetMs),
  };
}

/** Seconds until no window is used up. */
export function retryAfterSeconds(windows: readonly WindowLeft[]): number {
  return toSeconds(Math.max(...windows.filter(({ remaining }) => remaining === 0).map(({ resetMs }) => resetMs)));
}

/** A structured field (RFC 9651 section 3.1): a list of strings with parameters. */
function listOf(windows: readonly WindowLeft[], parameters: (window: WindowLeft) => string): string {
  return windows.map((window) => `"${windowName(window)}";${parameters(window)}`).join(', ');
}

function toSeconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}
