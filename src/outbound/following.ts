/** Decides which message may follow another on its session: the next waiting message, if it can have no other session now. */
import { laneOf } from '../domain/lane.ts';
import type { Followers } from './followers.ts';
import { type Hold, newHold, type PoolLoad } from './pool-load.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { Turn } from './transport.ts';
import type { Waits } from './waits.ts';

type Following = {
  /** Lets the next waiting message follow this one. False when none may. */
  follow(hold: Hold): boolean;
  /** The message on this session has ended. */
  ended(session: SmtpSession): void;
};

type Deps = {
  readonly waits: Pick<Waits<Hold>, 'count' | 'countOf' | 'next' | 'give'>;
  readonly followers: Pick<Followers, 'count' | 'countOf' | 'mayFollow' | 'add' | 'trust'>;
  readonly load: Pick<PoolLoad, 'isQuick'>;
  /** Sessions that are logged in. */
  readonly sessions: { readonly count: number };
  /** How many more connections bulk may have. @param reserve share that bulk leaves to transactional mail */
  bulkRoom(reserve: number): number;
  mayTake(turn: Turn): boolean;
  /** Whether the message could have a session of its own now or soon. */
  mayHaveOther(turn: Turn): boolean;
  /** Whether the session takes another message. */
  staysOpen(session: SmtpSession): boolean;
};

export function makeFollowing(deps: Deps): Following {
  const { waits, followers, load, sessions, bulkRoom, mayTake, mayHaveOther, staysOpen } = deps;
  /** The session that no message follows, because the next turn is bulk's and bulk may not follow here. Other sessions go on. */
  let leftToBulk: SmtpSession | null = null;

  /** Whether there are enough messages of the lane, or of one served before it, for each session to have a follower. */
  function isBacklog({ line }: Turn): boolean {
    const lane = laneOf(line);
    if (lane === 'bulk') return waits.count + followers.count >= sessions.count;
    return waits.countOf(lane) + followers.countOf(lane) >= sessions.count;
  }

  return {
    follow({ session, lane, isFollower }) {
      if (isFollower) followers.trust();
      /** Bulk may follow bulk only: it takes over its place. */
      const mayFollow = (turn: Turn) =>
        turn.line === 'transactional' || (lane === 'bulk' && bulkRoom(turn.reserve) >= 0);
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
