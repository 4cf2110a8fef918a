/** Which message may follow another on its session: the next that waits, where it could have no other session now. */
import type { Followers } from './followers.ts';
import { type Hold, newHold, type PoolLoad } from './pool-load.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { Turn } from './transport.ts';
import type { Waits } from './waits.ts';

export type Following = {
  /** Has whoever is next of those that wait follow this one, and answers whether there is one. */
  follow(hold: Hold): boolean;
  /** Its message has ended. */
  ended(session: SmtpSession): void;
};

type Deps = {
  readonly waits: Pick<Waits<Hold>, 'count' | 'countOf' | 'next' | 'give'>;
  readonly followers: Pick<Followers, 'count' | 'countOf' | 'mayFollow' | 'add' | 'trust'>;
  readonly load: Pick<PoolLoad, 'isQuick'>;
  /** Sessions that are logged in. */
  readonly sessions: { readonly count: number };
  /** How many more connections bulk may have that leaves others such a share. */
  bulkRoom(reserve: number): number;
  mayTake(turn: Turn): boolean;
  /** Whether it could have a session of its own now, or soon. */
  mayHaveOther(turn: Turn): boolean;
  /** Whether the session takes another message. */
  staysOpen(session: SmtpSession): boolean;
};

export function makeFollowing(deps: Deps): Following {
  const { waits, followers, load, sessions, bulkRoom, mayTake, mayHaveOther, staysOpen } = deps;
  /** It lets nobody follow, as bulk has the next turn and cannot: the others go on meanwhile. */
  let leftToBulk: SmtpSession | null = null;

  /** Whether each session could have one of the lane, or of those that go before it, to follow. */
  function isBacklog({ lane }: Turn): boolean {
    if (lane === 'bulk') return waits.count + followers.count >= sessions.count;
    return waits.countOf(lane) + followers.countOf(lane) >= sessions.count;
  }

  return {
    follow({ session, lane, isFollower }) {
      if (isFollower) followers.trust();
      /** Bulk takes the place of the bulk before it. */
      const mayFollow = (turn: Turn) =>
        turn.lane === 'transactional' || (lane === 'bulk' && bulkRoom(turn.reserve) >= 0);
      const next = waits.next((turn) => mayFollow(turn) || (leftToBulk === null && mayTake(turn)));
      if (next === null || next.isAlone || mayHaveOther(next)) return false;
      if (!load.isQuick || !isBacklog(next) || !followers.mayFollow || !staysOpen(session)) return false;
      if (!mayFollow(next)) {
        leftToBulk = session;
        return false;
      }
      const behind = waits.give(
        (itsLane) => newHold(session, itsLane, true),
        (turn) => turn === next,
      );
      if (behind !== null) followers.add(behind);
      return behind !== null;
    },
    ended(session) {
      if (leftToBulk === session) leftToBulk = null;
    },
  };
}
