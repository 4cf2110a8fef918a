/** The sessions that a pool is opening: few at once until the server is known to be well, and none for a while after a failure. */
import { setMaxListeners } from 'node:events';
import { transportFault } from './smtp-outcome.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { Delay, TransportFault } from './transport.ts';

/** Most sessions opened at the same time: some servers take more for an attack. */
const maxOpening = 16;

/** @param onEnd called once when the connection is gone, whichever side ended it; `signal` ends the opening */
export type OpenSession = (onEnd: () => void, signal: AbortSignal) => Promise<SmtpSession | TransportFault | Delay>;

export type Openings = {
  readonly count: number;
  /** How many more openings may begin. */
  readonly room: number;
  /** An opening failed just now: while other sessions work, no further one is tried. */
  readonly isResting: boolean;
  /** When the pause after a failed opening ends, in milliseconds of a clock that never goes back. */
  readonly reopenAt: number;
  /** Opens one, whatever `room` says. @returns why it was not opened */
  begin(): Promise<TransportFault | Delay | null>;
  /** Ends the openings under way. */
  stop(): void;
};

type Deps = {
  open: OpenSession;
  /** Called in the same step in which the session is no longer counted here: the owner must count it at once, or one too many is opened. */
  onOpened(session: SmtpSession): void;
  onFailed(fault: TransportFault | Delay): void;
  onEnd(session: SmtpSession): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

export function makeOpenings(
  { name, reopenMs }: { readonly name: string; readonly reopenMs: number },
  { open, onOpened, onFailed, onEnd, now }: Deps,
): Openings {
  let count = 0;
  /** Doubles with each opened session and is one after a fault: ten waiting messages must not cause ten failing logins. */
  let limit = 1;
  let reopenAt = Number.NEGATIVE_INFINITY;
  const stopped = new AbortController();
  setMaxListeners(0, stopped.signal);

  function faultOf(opened: SmtpSession | TransportFault | Delay): TransportFault | Delay | null {
    if ('kind' in opened) return opened;
    return opened.isUsable ? null : transportFault(name, new Error('Closed right after login'), 'protocol');
  }

  return {
    get count() {
      return count;
    },
    get room() {
      return limit - count;
    },
    get isResting() {
      return now() < reopenAt;
    },
    get reopenAt() {
      return reopenAt;
    },
    async begin() {
      count += 1;
      let session: SmtpSession | undefined;
      const opened = await open(() => session && onEnd(session), stopped.signal);
      count -= 1;
      const fault = faultOf(opened);
      if (fault === null) {
        session = opened as SmtpSession;
        limit = Math.min(limit * 2, maxOpening);
        onOpened(session);
      } else {
        limit = 1;
        reopenAt = now() + reopenMs;
        onFailed(fault);
      }
      return fault;
    },
    stop: () => stopped.abort(),
  };
}
