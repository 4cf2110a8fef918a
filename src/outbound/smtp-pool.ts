/** The sessions of one transport, shared by both lanes: a message takes one, or waits for one, or follows another message on its session. */
import { type Lane, laneOf } from '../domain/lane.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { TransportSettings } from '../domain/transport-plan.ts';
import { makeFollowers } from './followers.ts';
import { makeFollowing } from './following.ts';
import type { OpenSession } from './openings.ts';
import { type Ending, type Hold, makePoolLoad, newHold, type PoolTimes } from './pool-load.ts';
import { makePoolSessions, type PoolSessions } from './pool-sessions.ts';
import { makePoolShares } from './pool-shares.ts';
import { stateOf } from './pool-state.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { PassedOver } from './smtp-transaction.ts';
import type { PoolState, TransportFault, Turn } from './transport.ts';
import { makeWaits } from './waits.ts';

type Deps = {
  open: OpenSession;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  rand(): number;
};

type SmtpPool = Pick<PoolSessions, 'probe' | 'close'> & {
  readonly state: PoolState;
  /** Connections as the server counts them: open, being opened, and closing. */
  readonly connections: number;
  /** A session for one message, given back with `release`; or the fault that kept it from opening; null when the wait timed out. */
  take(turn: Turn): Hold | null | Promise<Hold | TransportFault | null>;
  /** Lets a waiting message follow this one on its session. False when none may. */
  follow(hold: Hold): boolean;
  /** @param end outcome of the message */
  release(hold: Hold, end: Outcome | PassedOver): void;
  allow(connections: number): void;
};

type Limits = Pick<TransportSettings, 'name' | 'connections' | 'messagesPerConnection' | 'maxAgeMs'> & PoolTimes;

function endingOf(end: Outcome | PassedOver): Ending {
  if (end.kind === 'unknown' || end.kind === 'transport_fault' || end.kind === 'passed_over') return 'in_vain';
  const isAccepted = end.kind === 'answered' && end.replies.some(({ smtp }) => smtp.code < 300);
  return isAccepted ? 'accepted' : 'not_accepted';
}

export function openSmtpPool(limits: Limits, { open, now, rand }: Deps): SmtpPool {
  const load = makePoolLoad(limits, now);
  const shares = makePoolShares(limits.connections, load.busy);
  const waits = makeWaits<Hold | TransportFault>({
    waitMs: limits.waitMs,
    now,
    hasBulkShare: shares.hasBulkShare,
    isFindingOut: () => sessions.isFindingOut,
    onTimeout() {
      load.hasTimedOut = true;
    },
  });
  const sessions: PoolSessions = makePoolSessions(limits, { open, load, shares, waits, give, serve, now, rand });
  const { idle, openings } = sessions;
  const { bulkRoom, mayTake } = shares;
  const followers = makeFollowers(limits, now);
  const following = makeFollowing({
    waits,
    followers,
    load,
    sessions: sessions.live,
    bulkRoom,
    mayTake,
    mayHaveOther,
    staysOpen: (session) => sessions.staysOpen(session, now()),
  });
  const parts = { sessions, waits, followers, load, shares };

  function take(turn: Turn): ReturnType<SmtpPool['take']> {
    if (sessions.isClosed) return null;
    const session = mayTake(turn) ? idle.last() : null;
    if (session !== null) {
      idle.drop(session);
      return hold(session, laneOf(turn.line));
    }
    const wait = waits.join(turn);
    sessions.grow();
    return wait;
  }

  function hold(session: SmtpSession, lane: Lane): Hold {
    return load.take(newHold(session, lane));
  }

  function give(session: SmtpSession): boolean {
    return waits.give((lane) => hold(session, lane), mayTake) !== null;
  }

  function mayHaveOther(turn: Turn): boolean {
    const couldOpen = sessions.couldOpen && !openings.isResting;
    return mayTake(turn) && (idle.count > 0 || openings.count > 0 || couldOpen);
  }

  function release(held: Hold, end: Outcome | PassedOver): void {
    if (held.isFollower) followers.ended(end);
    following.ended(held.session);
    if (held.isGivenUp) return; // it never had its turn
    load.letGo(held, endingOf(end));
    const next = followers.stepUp(held.session);
    if (next === null) sessions.free(held.session);
    else load.take(next);
    serve();
    waits.trim(load.room(shares.allowed, followers.count));
  }

  function serve(): void {
    while (waits.count > 0) {
      const session = idle.last();
      if (session === null || !give(session)) break;
      idle.drop(session);
    }
    if (waits.count > 0) sessions.grow();
  }

  function allow(most: number): void {
    // A message that timed out might have got one of the new connections.
    if (most > shares.allowed) load.hasTimedOut = false;
    shares.allow(most);
    // Other workers have all connections: messages would wait here in vain.
    if (most === 0) waits.endAll(null);
    sessions.shrink();
    serve();
  }

  return {
    get state() {
      return stateOf(parts);
    },
    get connections() {
      return sessions.connections;
    },
    take,
    follow: following.follow,
    release,
    probe: sessions.probe,
    allow,
    async close(patienceMs) {
      // Its connections hold up mail from now on, which waits elsewhere: its server is seen to hang all the same.
      load.hasTimedOut = true;
      await sessions.close(patienceMs);
      followers.off();
    },
  };
}
