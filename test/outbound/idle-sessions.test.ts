/** The unused sessions of a pool: which of them the next message gets. */
import { expect, it, onTestFinished } from 'vitest';
import { makeIdleSessions } from '../../src/outbound/idle-sessions.ts';
import type { SmtpSession } from '../../src/outbound/smtp-session.ts';

it('the one used last that is usable is taken; one whose connection has ended is passed over', () => {
  const idle = makeIdleSessions(
    () => 0,
    () => {},
  );
  onTestFinished(idle.off);
  const [first, second, ended] = [true, true, false].map((isUsable) => ({ isUsable }) as SmtpSession);
  for (const session of [first, second, ended]) idle.keep(session as SmtpSession, 60_000);
  expect(idle.last()).toBe(second);
  expect(idle.count).toBe(2);
  idle.drop(second as SmtpSession);
  expect(idle.last()).toBe(first);
  idle.drop(first as SmtpSession);
  expect(idle.last()).toBeNull();
  idle.keep(ended as SmtpSession, 60_000);
  expect(idle.last()).toBeNull();
});
