/** The sessions of one transport: opened as they are wanted, shared by both lanes, closed by count, age and idleness. */
import { setMaxListeners } from 'node:events';
import { makeAlarm } from '../concurrency/alarm.ts';
import { bulkEvery, bulkPlaces, type Lane } from '../domain/lane.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { TransportSettings } from '../domain/transport-plan.ts';
import { makeFollowers } from './followers.ts';
import { type Hold, makePoolLoad, newHold, type PoolTimes } from './pool-load.ts';
import { transportFault } from './smtp-outcome.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { PassedOver } from './smtp-transaction.ts';
import type { Delay, PoolState, TransportFault, Turn } from './transport.ts';
import { makeWaits } from './waits.ts';

/** Sessions that are being opened at once: some servers take more for an attack. */
const maxOpening = 16;
/** Up to this share of its greatest age is taken off a connection's, so that those opened together do not all end together. */
const ageSpread = 0.2;

type Deps = {
  /** @param onEnd called once when the connection is gone, whoever ended it; `signal` ends the opening */
  open(onEnd: () => void, signal: AbortSignal): Promise<SmtpSession | TransportFault | Delay>;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  rand(): number;
};

export type SmtpPool = {
  readonly state: PoolState;
  /** A session for one message, to be given back with `release`; the fault that kept it from being opened; null when the wait was in vain. */
  take(turn: Turn): Hold | null | Promise<Hold | TransportFault | null>;
  /** Lets one that waits follow this one on its session, and answers whether there is one. */
  follow(hold: Hold): boolean;
  /** @param end what came of the message */
  release(hold: Hold, end: Outcome | PassedOver): void;
  /** Opens a session and keeps it. It is one too many for a moment when all others are in use. */
  probe(): Promise<TransportFault | Delay | null>;
  allow(connections: number): void;
  /** Ends waits and idle sessions at once, those with a message in hand after so long; closing again with less patience shortens it. */
  close(patienceMs: number): Promise<void>;
};

type Limits = Pick<TransportSettings, 'name' | 'connections' | 'messagesPerConnection' | 'maxAgeMs'> & PoolTimes;

export function openSmtpPool(limits: Limits, { open, now, rand }: Deps): SmtpPool {
  let allowed = limits.connections;
  /** Sessions in use and idle, each with the time it gets too old. */
  const live = new Map<SmtpSession, number>();
  /** The one used last comes last, and is used first: the others may become idle for good. */
  const idle: { readonly session: SmtpSession; readonly closeAt: number }[] = [];
  const hands = makePoolLoad(limits, now);
  const { busy } = hands;
  let opening = 0;
  let closing = 0;
  /** Doubles with each session opened and is one after a fault: ten waiting messages are no reason to run into a wall ten times. */
  let openingLimit = 1;
  let reopenAt = Number.NEGATIVE_INFINITY;
  let probing: Promise<TransportFault | Delay | null> | null = null;
  let isClosed = false;
  const gone = Promise.withResolvers<void>();
  const stopOpening = new AbortController();
  setMaxListeners(0, stopOpening.signal);
  const idleAlarm = makeAlarm(now, closeOverdue);
  const { waitMs } = limits;
  const waits = makeWaits<Hold | TransportFault>({
    waitMs,
    now,
    hasBulkShare: () => busy.bulk >= Math.max(1, Math.ceil(allowed / bulkEvery)),
    isFindingOut: () => opening > 0 && !isAlive(),
    onTimeout() {
      hands.hasTimedOut = true;
    },
  });
  const followers = makeFollowers(limits, now);
  /** It lets nobody follow, as bulk has the next turn and cannot: the others go on meanwhile. */
  let leftToBulk: SmtpSession | null = null;

  /** Whether waiting for the connections there are may help. A server that went silent leaves them open. */
  const isAlive = () => live.size > 0 && now() - hands.aliveAt < waitMs;
  const mayTake = ({ lane, reserve }: Turn) => lane === 'transactional' || busy.bulk < bulkPlaces(allowed, reserve);

  function take(turn: Turn): ReturnType<SmtpPool['take']> {
    if (isClosed) return null;
    if (mayTake(turn)) {
      for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
        if (!kept.session.isUsable) continue; // its end is on its way
        return hold(kept.session, turn.lane);
      }
    }
    const wait = waits.join(turn);
    grow();
    return wait;
  }

  const hold = (session: SmtpSession, lane: Lane): Hold => hands.take(newHold(session, lane));

  function release(held: Hold, end: Outcome | PassedOver): void {
    if (held.isFollower) followers.ended(end);
    if (leftToBulk === held.session) leftToBulk = null;
    if (held.isGivenUp) return; // it never had its turn
    hands.letGo(held, end.kind === 'unknown' || end.kind === 'transport_fault' || end.kind === 'passed_over');
    const next = followers.stepUp(held.session);
    if (next === null) free(held.session);
    else hands.take(next);
    serve();
    waits.trim(places());
  }

  /** Whoever is next of those that wait, where it could have no other session now and is bound to this one for a moment. */
  function follow({ session, lane, isFollower }: Hold): boolean {
    if (isFollower) followers.trust();
    const mayFollow = (turn: Turn) =>
      turn.lane === 'transactional' || (lane === 'bulk' && busy.bulk <= bulkPlaces(allowed, turn.reserve));
    const next = waits.next((turn) => mayFollow(turn) || (leftToBulk === null && mayTake(turn)));
    if (next === null || next.isAlone || mayHaveOther(next)) return false;
    if (!hands.isQuick || !isBacklog(next.lane) || !followers.mayFollow || !staysOpen(session, now())) return false;
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
  }

  function mayHaveOther(turn: Turn): boolean {
    const couldOpen = live.size + closing < allowed && now() >= reopenAt;
    return mayTake(turn) && (idle.length > 0 || opening > 0 || couldOpen);
  }

  /** Whether each session could have one of the lane, or of those that go before it, to follow. */
  function isBacklog(lane: Lane): boolean {
    if (lane === 'bulk') return waits.count + followers.count >= live.size;
    return waits.countOf(lane) + followers.countOf(lane) >= live.size;
  }

  /** How many messages may wait for a connection of their own without waiting long. */
  const places = () => hands.room(allowed, followers.count);

  /** Gives a session that is alive at this moment to whoever waits, keeps it, or closes it. */
  function free(session: SmtpSession): void {
    const closesAt = live.get(session);
    if (closesAt === undefined) return;
    if (!session.isUsable) session.close();
    else if (!staysOpen(session, hands.aliveAt)) retire(session);
    else if (!give(session)) keep(session, closesAt);
  }

  function staysOpen(session: SmtpSession, at: number): boolean {
    const isOver = isClosed || session.given >= limits.messagesPerConnection || at >= (live.get(session) ?? at);
    return !isOver && live.size + opening <= allowed;
  }

  function keep(session: SmtpSession, closesAt: number): void {
    const closeAt = Math.min(hands.aliveAt + limits.idleCloseMs, closesAt);
    idle.push({ session, closeAt });
    idleAlarm.by(closeAt);
  }

  const give = (session: SmtpSession) => waits.give((lane) => hold(session, lane), mayTake) !== null;

  function serve(): void {
    while (waits.count > 0 && idle.length > 0) {
      const kept = idle.at(-1);
      if (kept?.session.isUsable && !give(kept.session)) break;
      idle.pop();
    }
    if (waits.count > 0) grow();
    if (isClosed && live.size + opening + closing === 0) gone.resolve();
  }

  /** Opens what those who wait could use. Nobody waits for a connection that could be opened, or is told why not. */
  function grow(): void {
    const bulk = waits.first('bulk');
    const bulkRoom = bulk === undefined ? 0 : Math.max(0, bulkPlaces(allowed, bulk.reserve) - busy.bulk);
    const wanted = waits.countOf('transactional') + Math.min(waits.countOf('bulk'), bulkRoom);
    const room = allowed - live.size - opening - closing;
    let more = Math.min(wanted - opening, room, openingLimit - opening);
    if (more > 0 && isAlive() && now() < reopenAt) return;
    for (; more > 0; more -= 1) void openOne();
  }

  async function openOne(): Promise<TransportFault | Delay | null> {
    opening += 1;
    let session: SmtpSession | undefined;
    const opened = await open(() => session && onEnd(session), stopOpening.signal);
    opening -= 1;
    const fault = troubleOf(opened);
    if (fault === null) {
      session = opened as SmtpSession;
      openingLimit = Math.min(openingLimit * 2, maxOpening);
      hands.opened();
      live.set(session, hands.aliveAt + limits.maxAgeMs * (1 - ageSpread * rand()));
      free(session);
    } else {
      openingLimit = 1;
      reopenAt = now() + limits.reopenMs;
      // Those who wait may go on waiting for connections that work: a server that allows fewer than we do is not down.
      if (!isAlive()) waits.endAll(fault.kind === 'delayed' ? null : fault);
    }
    serve();
    return fault;
  }

  function troubleOf(opened: SmtpSession | TransportFault | Delay): TransportFault | Delay | null {
    if ('kind' in opened) return opened;
    return opened.isUsable ? null : transportFault(limits.name, new Error('Closed right after login'), 'protocol');
  }

  function onEnd(session: SmtpSession): void {
    if (!live.delete(session)) closing -= 1;
    const at = idle.findIndex((kept) => kept.session === session);
    if (at >= 0) idle.splice(at, 1);
    serve();
  }

  /** It counts until it is gone. */
  function retire(session: SmtpSession): void {
    live.delete(session);
    closing += 1;
    session.close();
  }

  function closeOverdue(): number {
    const at = now();
    for (const kept of idle.filter(({ closeAt }) => closeAt <= at)) {
      idle.splice(idle.indexOf(kept), 1);
      retire(kept.session);
    }
    return Math.min(...idle.map(({ closeAt }) => closeAt));
  }

  /** The longest unused go first. */
  function closeIdle(count: number): void {
    for (const { session } of idle.splice(0, Math.max(0, count))) retire(session);
  }

  async function close(patienceMs: number): Promise<void> {
    isClosed = true;
    stopOpening.abort();
    waits.endAll(null);
    idleAlarm.off();
    closeIdle(idle.length);
    serve();
    const deadline = setTimeout(gone.resolve, patienceMs);
    await gone.promise;
    clearTimeout(deadline);
    followers.off();
    for (const session of live.keys()) session.close();
  }

  return {
    get state() {
      const couldOpen = opening === 0 && live.size + closing < allowed;
      const room = waits.room(places());
      return {
        open: live.size,
        busy: busy.transactional + busy.bulk,
        waiting: waits.count + followers.count,
        waitingBulk: waits.bulk,
        isStuck: Math.max(...Object.values(room)) === 0 || (hands.hasTimedOut && idle.length === 0 && !couldOpen),
        isHanging: hands.isHanging,
        room,
      };
    },
    take,
    follow,
    release,
    async probe() {
      if (isClosed) return transportFault(limits.name, new Error('The transport is closed'), 'connect');
      if (probing !== null) return probing;
      if (live.size + opening + closing >= allowed) closeIdle(1);
      probing = openOne();
      try {
        return await probing;
      } finally {
        probing = null;
      }
    },
    allow(connections) {
      // Who waited in vain might have had one of the new ones.
      if (connections > allowed) hands.hasTimedOut = false;
      allowed = connections;
      // Others have them all, and mail that waits here would wait in vain.
      if (allowed === 0) waits.endAll(null);
      closeIdle(live.size + opening - allowed);
      serve();
    },
    close,
  };
}
