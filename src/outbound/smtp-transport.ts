/** A transport over SMTP: each message takes a session of the pool, is sent once, and gives the session back. */
import type { Outcome } from '../domain/outcome.ts';
import type { TransportSettings } from '../domain/transport-plan.ts';
import type { TokenBook } from './oauth-tokens.ts';
import type { OpenSession } from './openings.ts';
import type { PoolTimes } from './pool-load.ts';
import type { Extensions } from './smtp-envelope.ts';
import { foreseen } from './smtp-obstacle.ts';
import { openSmtpPool } from './smtp-pool.ts';
import { openSmtpSession, usualPatience } from './smtp-session.ts';
import type { PassedOver, Patience } from './smtp-transaction.ts';
import type { Message, Transport, Turn } from './transport.ts';

const usualTimes: PoolTimes = {
  // A message that must wait longer is better parked than held in memory.
  waitMs: 5_000,
  patienceMs: 1_000,
  // Servers commonly drop an idle client after 30 to 300 seconds: we close earlier.
  idleCloseMs: 20_000,
  reopenMs: 1_000,
  // A server that filters mail may need half a minute for one message, but hardly for all messages at the same time.
  hangAfterMs: 30_000,
};

/** Short: at dispose the messages have ended already. */
const disposePatienceMs = 1_000;

export type SmtpTransport = Transport & {
  /** Connections as the server counts them: open, being opened, and closing. */
  readonly connections: number;
  /**
   * Takes no more messages, waits for those in hand, says QUIT. A message still in hand after `patienceMs` has an unknown outcome: a server
   * may take ten minutes for its answer (RFC 5321 section 4.5.3.2.6). May be called again with less patience.
   */
  close(patienceMs: number): Promise<void>;
};

export type SmtpTransportOptions = Partial<PoolTimes> & {
  readonly patience?: Patience;
  /** EHLO name when the settings have none. */
  readonly ehloName?: string | null;
  /** The tokens for XOAUTH2. */
  readonly tokensOf: TokenBook;
  /** 0..1, spreads the ages of connections. */
  rand(): number;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

export function openSmtpTransport(settings: TransportSettings, options: SmtpTransportOptions): SmtpTransport {
  const { tokensOf, rand, now, patience = usualPatience, ehloName = null } = options;
  const { auth } = settings;
  const tokens = auth?.kind === 'oauth2' ? tokensOf(auth) : null;
  /** What the server offered to the connection opened last. */
  let offered: Extensions | null = null;
  const open: OpenSession = async (onEnd, signal) => {
    const session = await openSmtpSession(settings, { tokens, onEnd, signal, patience, ehloName, now });
    if ('extensions' in session) offered = session.extensions;
    return session;
  };
  const pool = openSmtpPool({ ...settings, ...usualTimes, ...options }, { open, now, rand });

  async function send(message: Message, claim: () => Promise<boolean>, turn: Turn): Promise<Outcome> {
    const hold = await pool.take(turn);
    if (hold === null) return { kind: 'withheld' };
    if ('kind' in hold) return hold;
    let end: Outcome | PassedOver = { kind: 'withheld' };
    try {
      end = await hold.session.send(message, { claim, follow: () => pool.follow(hold) });
    } finally {
      pool.release(hold, end);
    }
    // A message that was passed over waits for a connection of its own.
    return end.kind === 'passed_over' ? send(message, claim, { ...turn, isAlone: true }) : end;
  }

  return {
    name: settings.name,
    send,
    foresee(outline) {
      const obstacle = offered === null ? null : foreseen(outline, offered);
      // Without an open connection the next one may be offered something else.
      return obstacle === null || pool.state.open === 0
        ? null
        : { kind: 'obstacle', transport: settings.name, ...obstacle };
    },
    probe: pool.probe,
    get pool() {
      return pool.state;
    },
    get connections() {
      return pool.connections;
    },
    allow: pool.allow,
    close: pool.close,
    [Symbol.asyncDispose]: () => pool.close(disposePatienceMs),
  };
}
