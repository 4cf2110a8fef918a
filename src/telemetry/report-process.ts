/** Reports of the process: trouble that its parts meet, bugs, and its end. */

import { maskAddresses } from '../domain/address.ts';
import { type Log, maxIds } from './log.ts';
import { makeTroubles } from './troubles.ts';

type Fields = Readonly<Record<string, unknown>>;

/** `emails` are those whose answer was not stored, `posts` the number of such webhook posts. */
type Stopped = { readonly emails: readonly string[]; readonly posts: number; readonly isRedisAway: boolean };

/**
 * @param monotonicNow milliseconds of a clock that never goes back
 * @param commonTrouble the kind of a trouble that all work in hand meets at once, as when Redis is full; null for any other
 */
export function makeProcessReports(
  log: Log,
  monotonicNow: () => number,
  commonTrouble: (error: unknown) => string | null,
) {
  const troubles = makeTroubles(monotonicNow);
  return {
    /** @param fields of what met it, left out of a common trouble; what they met again and again is not said over and over */
    trouble(part: string, error: unknown, fields: Fields = {}): void {
      const message = maskAddresses(error instanceof Error ? error.message : String(error));
      const common = commonTrouble(error);
      const own = common === null ? fields : {};
      const held = troubles.weigh(part, common ?? message, own);
      if (held === null) return;
      log.error({ part, ...own, error: message, ...(held === 0 ? {} : { times: held + 1 }) }, 'trouble');
    },

    bug(error: Error, fields: Fields): void {
      log.error({ ...fields, error: maskAddresses(error.stack ?? error.message) }, 'bug');
    },

    stopped({ emails, posts, isRedisAway }: Stopped): void {
      const fields = { emails: emails.length, email_ids: emails.slice(0, maxIds), posts, redis_away: isRedisAway };
      if (emails.length + posts === 0) log.info(fields, 'stopped');
      else log.warn(fields, 'stopped');
    },
  };
}
