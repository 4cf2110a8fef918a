/** What a pool tells about itself: how full it is, and how much more it can take. */
import type { Followers } from './followers.ts';
import type { Hold, PoolLoad } from './pool-load.ts';
import type { PoolSessions } from './pool-sessions.ts';
import type { PoolShares } from './pool-shares.ts';
import type { PoolState, TransportFault } from './transport.ts';
import type { Waits } from './waits.ts';

type Parts = {
  readonly sessions: Pick<PoolSessions, 'live' | 'idle' | 'openings' | 'couldOpen' | 'refusals'>;
  readonly waits: Pick<Waits<Hold | TransportFault>, 'count' | 'bulk' | 'room'>;
  readonly followers: Pick<Followers, 'count'>;
  readonly load: Pick<PoolLoad, 'busy' | 'room' | 'hasTimedOut' | 'isHanging' | 'acceptedMs'>;
  readonly shares: Pick<PoolShares, 'allowed'>;
};

/** Asked for each email: what few ask for is worked out only then. */
export function stateOf({ sessions, waits, followers, load, shares }: Parts): PoolState {
  const room = waits.room(load.room(shares.allowed, followers.count));
  const mayOpen = sessions.openings.count === 0 && sessions.couldOpen;
  return {
    open: sessions.live.count,
    busy: load.busy.transactional + load.busy.bulk,
    waiting: waits.count + followers.count,
    waitingBulk: waits.bulk,
    isStuck: Math.max(...Object.values(room)) === 0 || (load.hasTimedOut && sessions.idle.count === 0 && !mayOpen),
    get isHanging() {
      return load.isHanging;
    },
    get acceptedMs() {
      return load.acceptedMs;
    },
    refusals: sessions.refusals,
    room,
  };
}
