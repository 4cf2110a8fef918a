/** What a pool opens and closes: sessions are opened as they are wanted, and closed by count, age and idleness. */
import { type IdleSessions, makeIdleSessions } from './idle-sessions.ts';
import { type LiveSessions, makeLiveSessions } from './live-sessions.ts';
import { makeOpenings, type Openings, type OpenSession } from './openings.ts';
import { type Growth, makeGrowth } from './pool-growth.ts';
import type { Hold, PoolLoad } from './pool-load.ts';
import { makeProbe, type Probe } from './pool-probe.ts';
import type { PoolShares } from './pool-shares.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { Delay, TransportFault } from './transport.ts';
import type { Waits } from './waits.ts';

export type PoolSessions = Pick<Growth, 'refusals' | 'isFindingOut' | 'grow'> & {
  /** Logged in, in use and idle. */
  readonly live: Pick<LiveSessions, 'count'>;
  readonly idle: Pick<IdleSessions, 'count' | 'last' | 'drop'>;
  readonly openings: Pick<Openings, 'count' | 'isResting'>;
  /** Connections as the server counts them: open, being opened, and closing. */
  readonly connections: number;
  /** Whether there may be more than those that are logged in or closing. */
  readonly couldOpen: boolean;
  readonly isClosed: boolean;
  /** Gives a session that is alive to a waiting message, keeps it idle, or closes it. */
  free(session: SmtpSession): void;
  /** Whether the session takes another message at that time. */
  staysOpen(session: SmtpSession, at: number): boolean;
  /** Closes idle sessions that are too many. */
  shrink(): void;
  readonly probe: Probe;
  /** Ends waits and idle sessions at once, sessions with a message in hand after `patienceMs`. A second call may shorten that time. */
  close(patienceMs: number): Promise<void>;
};

type Deps = {
  open: OpenSession;
  readonly load: Pick<PoolLoad, 'aliveAt' | 'opened'>;
  readonly shares: Pick<PoolShares, 'allowed' | 'bulkRoom'>;
  readonly waits: Pick<Waits<Hold | TransportFault>, 'countBulk' | 'countOf' | 'endAll'>;
  /** Gives the session to a waiting message. False when none may have it. */
  give(session: SmtpSession): boolean;
  /** Serves those who wait: a session was opened, or is gone, or was not opened. */
  serve(): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  rand(): number;
};

type Limits = {
  readonly name: string;
  readonly messagesPerConnection: number;
  readonly maxAgeMs: number;
  readonly idleCloseMs: number;
  readonly reopenMs: number;
  readonly waitMs: number;
};

export function makePoolSessions(limits: Limits, deps: Deps): PoolSessions {
  const { open, load, shares, waits, give, now, rand } = deps;
  let isClosed = false;
  const gone = Promise.withResolvers<void>();
  const live = makeLiveSessions(limits, rand);
  const idle = makeIdleSessions(now, live.retire);
  const openings = makeOpenings(limits, { open, onOpened, onFailed, onEnd, now });
  const connections = () => live.count + openings.count + live.closing;
  const growth = makeGrowth(limits, { live, openings, waits, load, shares, connections, serve, now });
  const { name } = limits;
  const probe = makeProbe({ name, live, idle, openings, shares, connections, isClosed: () => isClosed });

  function onOpened(session: SmtpSession): void {
    growth.opened();
    load.opened();
    live.add(session, load.aliveAt);
    free(session);
    serve();
  }

  function onFailed(fault: TransportFault | Delay): void {
    growth.failed(fault);
    serve();
  }

  function onEnd(session: SmtpSession): void {
    live.ended(session);
    idle.drop(session);
    serve();
  }

  function serve(): void {
    deps.serve();
    if (isClosed && connections() === 0) gone.resolve();
  }

  function free(session: SmtpSession): void {
    const endsAt = live.endsAt(session);
    if (endsAt === null) return;
    if (!session.isUsable) session.close();
    else if (!staysOpen(session, load.aliveAt)) live.retire(session);
    else if (!give(session)) idle.keep(session, Math.min(load.aliveAt + limits.idleCloseMs, endsAt));
  }

  function staysOpen(session: SmtpSession, at: number): boolean {
    return !isClosed && !live.isSpent(session, at) && live.count + openings.count <= shares.allowed;
  }

  async function close(patienceMs: number): Promise<void> {
    isClosed = true;
    openings.stop();
    growth.off();
    waits.endAll(null);
    idle.off();
    idle.close(idle.count);
    serve();
    const deadline = setTimeout(gone.resolve, patienceMs);
    await gone.promise;
    clearTimeout(deadline);
    live.closeAll();
  }

  return {
    live,
    idle,
    openings,
    get refusals() {
      return growth.refusals;
    },
    get isFindingOut() {
      return growth.isFindingOut;
    },
    get connections() {
      return connections();
    },
    get couldOpen() {
      return live.count + live.closing < shares.allowed;
    },
    get isClosed() {
      return isClosed;
    },
    grow: growth.grow,
    free,
    staysOpen,
    shrink: () => idle.close(live.count + openings.count - shares.allowed),
    probe,
    close,
  };
}
