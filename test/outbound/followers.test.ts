/** Whether messages may follow others on the same session, by what their server made of those that did. */
import { expect, it, onTestFinished } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import { makeFollowers } from '../../src/outbound/followers.ts';
import { newHold } from '../../src/outbound/pool-load.ts';
import type { SmtpSession } from '../../src/outbound/smtp-session.ts';

const hour = 3_600_000;
const answered: Outcome = { kind: 'answered', transport: 'a', replies: [] };
const outOfStep = { kind: 'passed_over', isOutOfStep: true } as const;
const inStep = { kind: 'passed_over', isOutOfStep: false } as const;

function openFollowers() {
  let now = 0;
  const followers = makeFollowers({ patienceMs: 60_000 }, () => now);
  onTestFinished(() => followers.off());
  return {
    followers,
    /** One follows, and ends so. */
    follow(end: Parameters<typeof followers.ended>[0]) {
      const session = {} as SmtpSession;
      followers.add(newHold(session, 'transactional', true));
      followers.stepUp(session);
      followers.ended(end);
    },
    /** How many hours later the next one may follow. */
    hoursOff() {
      const from = now;
      while (!followers.mayFollow && now - from < 48 * hour) now += hour / 2;
      return (now - from) / hour;
    },
  };
}

it('one message tries whether its server takes it, and others follow once it does', () => {
  const { followers, follow } = openFollowers();
  expect(followers.mayFollow).toBe(true);
  followers.add(newHold({} as SmtpSession, 'transactional', true));
  expect(followers.mayFollow).toBe(false);
  followers.ended(inStep);
  expect(followers.mayFollow).toBe(true);
  follow(answered);
  followers.add(newHold({} as SmtpSession, 'transactional', true));
  expect(followers.mayFollow).toBe(true);
});

it('none follows for an hour after a server was out of step, also one that took some before, and twice as long each time up to a day', () => {
  const { follow, hoursOff } = openFollowers();
  follow(answered);
  const hours = Array.from({ length: 7 }, () => {
    follow(outOfStep);
    return hoursOff();
  });
  expect(hours).toEqual([1, 2, 4, 8, 16, 24, 24]);
});

it('a message that never reached the server says nothing of it', () => {
  const { followers, follow } = openFollowers();
  follow({ kind: 'undeliverable', transport: 'a', detail: 'no' });
  followers.add(newHold({} as SmtpSession, 'transactional', true));
  expect(followers.mayFollow).toBe(false);
});
