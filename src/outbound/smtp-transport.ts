/** A pool of SMTP sessions to one server: kept, reused, recycled by count and idleness. It never retries a message. */
import type { Outcome } from '../domain/outcome.ts';
import type { TransportSettings } from '../domain/transport-plan.ts';
import { type SmtpError, transportFault } from './smtp-outcome.ts';
import { openSmtpSession, type SmtpSession } from './smtp-session.ts';
import type { Message, Transport } from './transport.ts';

/** Servers commonly drop an idle client after 30 to 300 seconds; we leave first. */
const idleCloseMs = 20_000;
/** How long a message waits for a free session before it goes back to the queue. */
const waitDeadlineMs = 30_000;

type Kept = { readonly session: SmtpSession; readonly timer: NodeJS.Timeout };

type Waiter = { readonly give: (turn: SmtpSession | 'open_one') => void };

export function openSmtpTransport(settings: TransportSettings): Transport {
  const idle: Kept[] = [];
  const waiting = new Set<Waiter>();
  const busy = new Set<SmtpSession>();
  let open = 0;
  let isClosed = false;

  async function send(message: Message, claim: () => Promise<boolean>): Promise<Outcome> {
    const session = await acquire().catch((error: SmtpError) => error);
    // Nothing but connecting, TLS and login has happened: whatever the server said then, it said about us.
    if (session instanceof Error) return transportFault(settings.name, session);
    try {
      return await session.send(message, claim);
    } finally {
      release(session);
    }
  }

  async function acquire(): Promise<SmtpSession> {
    for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
      clearTimeout(kept.timer);
      if (kept.session.isUsable) return use(kept.session);
    }
    if (open < settings.connections) {
      open += 1;
      return openOne();
    }
    const turn = await waitForTurn();
    return turn === 'open_one' ? openOne() : use(turn);
  }

  function use(session: SmtpSession): SmtpSession {
    busy.add(session);
    return session;
  }

  /** Opens a session in a place that is already counted; when it ends, the place goes to whoever waits, or is free. */
  async function openOne(): Promise<SmtpSession> {
    const ended = onceOnly(() => {
      if (!next('open_one')) open -= 1;
    });
    try {
      if (isClosed) throw new Error('The transport is closed');
      return use(await openSmtpSession(settings, ended));
    } catch (error) {
      ended();
      throw error;
    }
  }

  function waitForTurn(): Promise<SmtpSession | 'open_one'> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(waiter);
        reject(new Error(`No free connection within ${waitDeadlineMs / 1_000} s`));
      }, waitDeadlineMs);
      const waiter: Waiter = {
        give(turn) {
          clearTimeout(timer);
          resolve(turn);
        },
      };
      waiting.add(waiter);
    });
  }

  /** Gives a turn to whoever has waited longest; false when nobody waits. */
  function next(turn: SmtpSession | 'open_one'): boolean {
    const [waiter] = waiting;
    if (waiter === undefined) return false;
    waiting.delete(waiter);
    waiter.give(turn);
    return true;
  }

  function release(session: SmtpSession): void {
    busy.delete(session);
    if (!session.isUsable) return;
    if (isClosed || session.sent >= settings.messagesPerConnection) session.close();
    else if (!next(session)) keep(session);
  }

  function keep(session: SmtpSession): void {
    const kept: Kept = { session, timer: setTimeout(() => retire(kept), idleCloseMs) };
    idle.push(kept);
  }

  function retire(kept: Kept): void {
    idle.splice(idle.indexOf(kept), 1);
    kept.session.close();
  }

  return {
    name: settings.name,
    send,
    async [Symbol.asyncDispose]() {
      isClosed = true;
      for (const { session, timer } of idle.splice(0)) {
        clearTimeout(timer);
        session.close();
      }
      for (const session of busy) session.close();
    },
  };
}

function onceOnly(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
