/** The sessions of one transport: opened as they are wanted, shared by both lanes, closed by count, age and idleness. */
import { makeAlarm } from '../concurrency/alarm.ts';
import { bulkEvery, bulkPlaces, type Lane, laneOf } from '../domain/lane.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { TransportSettings } from '../domain/transport-plan.ts';
import { makeCrowding } from './crowding.ts';
import { makeFollowers } from './followers.ts';
import { makeFollowing } from './following.ts';
import { makeIdleSessions } from './idle-sessions.ts';
import { makeLiveSessions } from './live-sessions.ts';
import { makeOpenings, type OpenSession } from './openings.ts';
import { type Hold, makePoolLoad, newHold, type PoolTimes } from './pool-load.ts';
import { transportFault } from './smtp-outcome.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { PassedOver } from './smtp-transaction.ts';
import type { Delay, PoolState, TransportFault, Turn } from './transport.ts';
import { makeWaits } from './waits.ts';

type Deps = {
  open: OpenSession;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  rand(): number;
};

type SmtpPool = {
  readonly state: PoolState;
  /** A session for one message, given back with `release`; or the fault that kept it from opening; null when the wait timed out. */
  take(turn: Turn): Hold | null | Promise<Hold | TransportFault | null>;
  /** Lets a waiting message follow this one on its session. False when none may. */
  follow(hold: Hold): boolean;
  /** @param end outcome of the message */
  release(hold: Hold, end: Outcome | PassedOver): void;
  /** Opens a session and keeps it, in the place of an idle one where there is no other. It is one too many for a moment when all others are in use. */
  probe(): Promise<TransportFault | Delay | null>;
  allow(connections: number): void;
  /** Ends waits and idle sessions at once, sessions with a message in hand after `patienceMs`. A second call may shorten that time. */
  close(patienceMs: number): Promise<void>;
};

type Limits = Pick<TransportSettings, 'name' | 'connections' | 'messagesPerConnection' | 'maxAgeMs'> & PoolTimes;

export function openSmtpPool(limits: Limits, { open, now, rand }: Deps): SmtpPool {
  let allowed = limits.connections;
  let probing: Promise<TransportFault | Delay | null> | null = null;
  let isClosed = false;
  const gone = Promise.withResolvers<void>();
  const live = makeLiveSessions(limits, rand);
  const idle = makeIdleSessions(now, live.retire);
  const openings = makeOpenings(limits, { open, onOpened, onFailed, onEnd, now });
  const crowding = makeCrowding();
  const again = makeAlarm(now, serveAgain);
  const load = makePoolLoad(limits, now);
  const { busy } = load;
  const { waitMs } = limits;
  const waits = makeWaits<Hold | TransportFault>({
    waitMs,
    now,
    hasBulkShare: () => busy.bulk >= Math.max(1, Math.ceil(allowed / bulkEvery)),
    isFindingOut: () => openings.count > 0 && !isAlive(),
    onTimeout() {
      load.hasTimedOut = true;
    },
  });
  const followers = makeFollowers(limits, now);
  const following = makeFollowing({
    ...{ waits, followers, load, sessions: live, bulkRoom, mayTake, mayHaveOther },
    staysOpen: (session) => staysOpen(session, now()),
  });

  /** Whether it may help to wait for the present connections. A server that went silent leaves its connections open. */
  const isAlive = () => live.count > 0 && now() - load.aliveAt < waitMs;
  /** How many more messages may wait for a connection without waiting long. */
  const places = () => load.room(allowed, followers.count);
  /** Connections as the server counts them. */
  const connections = () => live.count + openings.count + live.closing;
  const hold = (session: SmtpSession, lane: Lane): Hold => load.take(newHold(session, lane));
  const give = (session: SmtpSession) => waits.give((lane) => hold(session, lane), mayTake) !== null;

  function bulkRoom(reserve: number): number {
    return bulkPlaces(allowed, reserve) - busy.bulk;
  }

  function mayTake({ line, reserve }: Turn): boolean {
    return line === 'transactional' || bulkRoom(reserve) > 0;
  }

  function mayHaveOther(turn: Turn): boolean {
    const couldOpen = live.count + live.closing < allowed && !openings.isResting;
    return mayTake(turn) && (idle.count > 0 || openings.count > 0 || couldOpen);
  }

  function take(turn: Turn): ReturnType<SmtpPool['take']> {
    if (isClosed) return null;
    const session = mayTake(turn) ? idle.last() : null;
    if (session !== null) {
      idle.drop(session);
      return hold(session, laneOf(turn.line));
    }
    const wait = waits.join(turn);
    grow();
    return wait;
  }

  function release(held: Hold, end: Outcome | PassedOver): void {
    if (held.isFollower) followers.ended(end);
    following.ended(held.session);
    if (held.isGivenUp) return; // it never had its turn
    load.letGo(held, end.kind === 'unknown' || end.kind === 'transport_fault' || end.kind === 'passed_over');
    const next = followers.stepUp(held.session);
    if (next === null) free(held.session);
    else load.take(next);
    serve();
    waits.trim(places());
  }

  /** Gives a session that is alive to a waiting message, keeps it idle, or closes it. */
  function free(session: SmtpSession): void {
    const endsAt = live.endsAt(session);
    if (endsAt === null) return;
    if (!session.isUsable) session.close();
    else if (!staysOpen(session, load.aliveAt)) live.retire(session);
    else if (!give(session)) idle.keep(session, Math.min(load.aliveAt + limits.idleCloseMs, endsAt));
  }

  function staysOpen(session: SmtpSession, at: number): boolean {
    return !isClosed && !live.isSpent(session, at) && live.count + openings.count <= allowed;
  }

  function serve(): void {
    while (waits.count > 0) {
      const session = idle.last();
      if (session === null || !give(session)) break;
      idle.drop(session);
    }
    if (waits.count > 0) grow();
    if (isClosed && connections() === 0) gone.resolve();
  }

  /** Opens the sessions that waiting messages could use. No message waits while a connection could be opened, except after a failed opening. */
  function grow(): void {
    const bulk = waits.first('bulk');
    const roomOfBulk = bulk === undefined ? 0 : Math.max(0, bulkRoom(bulk.reserve));
    const wanted = waits.countOf('transactional') + Math.min(waits.countOf('bulk'), roomOfBulk);
    let more = Math.min(wanted - openings.count, allowed - connections(), openings.room);
    if (more > 0 && openings.isResting && (isAlive() || crowding.isOn)) {
      // Where none works, nothing else may come that would serve those who wait.
      if (!isAlive()) again.by(openings.reopenAt);
      return;
    }
    for (; more > 0; more -= 1) void openings.begin();
  }

  function serveAgain(): number {
    serve();
    return Number.POSITIVE_INFINITY;
  }

  function onOpened(session: SmtpSession): void {
    crowding.over();
    load.opened();
    live.add(session, load.aliveAt);
    free(session);
    serve();
  }

  function onFailed(fault: TransportFault | Delay): void {
    if (!mayWaitOn(fault)) {
      if (fault.kind === 'delayed') waits.endAll(null);
      else waits.endAll(fault, { ...fault, isShared: true });
    }
    serve();
  }

  /** Those who wait may go on waiting for connections that work: a server that allows fewer than we do is not down. */
  function mayWaitOn(fault: TransportFault | Delay): boolean {
    if (fault.kind === 'transport_fault' && fault.isCrowded)
      return crowding.refused(live.count + live.closing + openings.count === 0);
    crowding.over();
    return isAlive();
  }

  function onEnd(session: SmtpSession): void {
    live.ended(session);
    idle.drop(session);
    serve();
  }

  async function probeAlone(): Promise<TransportFault | Delay | null> {
    if (connections() >= allowed && idle.count > 0) await closeIdle();
    const fault = await beginProbe();
    if (fault?.kind !== 'transport_fault' || !fault.isCrowded || idle.count === 0) return fault;
    // The server takes no more than there are, of which nobody uses one.
    await closeIdle();
    return beginProbe();
  }

  const beginProbe = () => (isClosed ? closedFault() : openings.begin());

  function closeIdle(): Promise<void> {
    idle.close(1);
    return live.closed();
  }

  const closedFault = () => transportFault(limits.name, new Error('The transport is closed'), 'connect');

  async function close(patienceMs: number): Promise<void> {
    isClosed = true;
    openings.stop();
    again.off();
    waits.endAll(null);
    idle.off();
    idle.close(idle.count);
    serve();
    const deadline = setTimeout(gone.resolve, patienceMs);
    await gone.promise;
    clearTimeout(deadline);
    followers.off();
    live.closeAll();
  }

  return {
    get state() {
      const couldOpen = openings.count === 0 && live.count + live.closing < allowed;
      const room = waits.room(places());
      return {
        open: live.count,
        busy: busy.transactional + busy.bulk,
        waiting: waits.count + followers.count,
        waitingBulk: waits.bulk,
        isStuck: Math.max(...Object.values(room)) === 0 || (load.hasTimedOut && idle.count === 0 && !couldOpen),
        isHanging: load.isHanging,
        refusals: crowding.refusals,
        room,
      };
    },
    take,
    follow: following.follow,
    release,
    async probe() {
      if (isClosed) return closedFault();
      if (probing !== null) return probing;
      probing = probeAlone();
      try {
        return await probing;
      } finally {
        probing = null;
      }
    },
    allow(most) {
      // A message that timed out might have got one of the new connections.
      if (most > allowed) load.hasTimedOut = false;
      allowed = most;
      // Other workers have all connections: messages would wait here in vain.
      if (allowed === 0) waits.endAll(null);
      idle.close(live.count + openings.count - allowed);
      serve();
    },
    close,
  };
}
