/** The pool over sessions that a test makes: what it does with one that takes nothing more, and with one that is still being opened. */
import { expect, it } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import type { OpenSession } from '../../src/outbound/openings.ts';
import type { Hold } from '../../src/outbound/pool-load.ts';
import { openSmtpPool } from '../../src/outbound/smtp-pool.ts';
import type { SmtpSession } from '../../src/outbound/smtp-session.ts';
import { settingsTo, turn } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const times = { waitMs: 60_000, patienceMs: 60_000, idleCloseMs: 60_000, reopenMs: 60_000, hangAfterMs: 60_000 };
const answered: Outcome = { kind: 'answered', transport: 't', replies: [] };

function openPool(open: OpenSession) {
  const pool = openSmtpPool({ ...settingsTo(1, { connections: 1 }), ...times }, { open, now: () => 0, rand: () => 0 });
  pool.allow(1);
  return pool;
}

it('a session that takes nothing more is closed when it comes back, and the next message has another', async () => {
  const sessions: { isUsable: boolean; isClosed: boolean }[] = [];
  const pool = openPool(async (onEnd) => {
    const session = { given: 0, isUsable: true, isClosed: false, close };
    function close(): void {
      session.isClosed = true;
      onEnd();
    }
    sessions.push(session);
    return session as unknown as SmtpSession;
  });
  const held = (await pool.take(turn)) as Hold;
  Object.assign(held.session, { isUsable: false });
  pool.release(held, answered);
  expect(pool.state.open).toBe(0);
  expect(((await pool.take(turn)) as Hold).session).not.toBe(held.session);
  expect(sessions).toMatchObject([{ isClosed: true }, { isClosed: false }]);
  await pool.close(0);
});

it('an unused session is closed when it gets too old, though it may be idle for longer', async () => {
  const limits = { ...settingsTo(1, { connections: 1, maxAgeMs: 40 }), ...times };
  const open: OpenSession = async (onEnd) => ({ given: 0, isUsable: true, close: onEnd }) as unknown as SmtpSession;
  const pool = openSmtpPool(limits, { open, now: () => performance.now(), rand: () => 0 });
  expect(await pool.probe()).toBeNull();
  expect(pool.state.open).toBe(1);
  await until('it to be closed', () => pool.state.open === 0);
  await pool.close(0);
});

it('closing ends at once what is being opened, however long the server would take', async () => {
  const pool = openPool(
    (_, signal) =>
      new Promise((opened) => {
        signal.addEventListener('abort', () => opened({ kind: 'delayed', detail: 'it was ended' }));
      }),
  );
  const waiting = pool.take(turn);
  const opening = pool.probe();
  await pool.close(0);
  expect(await waiting).toBeNull();
  expect(await opening).toMatchObject({ detail: 'it was ended' });
});
