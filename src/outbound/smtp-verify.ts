/** Verifies a transport: opens one session with its settings and closes it without sending a message. */
import type { TransportSettings } from '../domain/transport-plan.ts';
import type { Verification } from '../domain/transport-report.ts';
import type { TokenBook } from './oauth-tokens.ts';
import { openSmtpSession, usualPatience } from './smtp-session.ts';

/** Short, because the caller of the API waits for the answer. */
const usualTimeoutMs = 20_000;

const crowded = 'The server was reached; it takes no more connections at the moment';

export type Verify = (settings: TransportSettings) => Promise<Verification>;

type Options = {
  readonly timeoutMs?: number;
  /** EHLO name when the settings have none. */
  readonly ehloName?: string | null;
  /** The tokens for XOAUTH2. */
  readonly tokensOf: TokenBook;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

/**
 * One verification at a time for each transport: requests that come meanwhile share its answer, so the server sees at most one more connection.
 * @param stopping ends verifications under way
 */
export function makeVerify(
  stopping: AbortSignal,
  { timeoutMs = usualTimeoutMs, ehloName = null, tokensOf, now }: Options,
): Verify {
  const running = new Map<TransportSettings, Promise<Verification>>();
  return (settings) => {
    const known = running.get(settings);
    if (known !== undefined) return known;
    const verification = verify(settings, stopping, { timeoutMs, ehloName, tokensOf, now }).finally(() =>
      running.delete(settings),
    );
    running.set(settings, verification);
    return verification;
  };
}

async function verify(
  settings: TransportSettings,
  stopping: AbortSignal,
  { timeoutMs, ehloName, tokensOf, now }: Required<Options>,
): Promise<Verification> {
  const { auth } = settings;
  const tokens = auth?.kind === 'oauth2' ? tokensOf(auth) : null;
  const overdue = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([stopping, overdue]);
  const startedAt = now();
  const session = await openSmtpSession(settings, {
    tokens,
    signal,
    patience: usualPatience,
    ehloName,
    now,
    onEnd() {},
  });
  const ms = Math.round(now() - startedAt);
  if (!('kind' in session)) {
    session.close();
    return { ms, tls: session.tls, fault: null };
  }
  if (session.kind === 'delayed') return { ms, tls: null, fault: { cause: 'connect', reason: session.detail } };
  if (session.isCrowded) return { ms, tls: null, fault: { cause: null, reason: `${crowded} (${session.detail})` } };
  const reason = overdue.aborted ? `ETIMEDOUT: Not logged in within ${timeoutMs / 1_000} s` : session.detail;
  return { ms, tls: null, fault: { cause: session.cause, reason } };
}
