/** Which message may follow another, where the next turn is that of bulk, which may follow bulk alone. */
import { expect, it, onTestFinished } from 'vitest';
import { makeFollowers } from '../../src/outbound/followers.ts';
import { makeFollowing } from '../../src/outbound/following.ts';
import { type Hold, newHold } from '../../src/outbound/pool-load.ts';
import type { SmtpSession } from '../../src/outbound/smtp-session.ts';
import { makeWaits } from '../../src/outbound/waits.ts';

const now = () => 0;

/** A pool of two sessions, to which nothing but the turns matters. The next turn is that of bulk. */
function openFollowing() {
  const waits = makeWaits<Hold>({
    ...{ waitMs: 60_000, now, hasBulkShare: () => false, isFindingOut: () => false, onTimeout() {} },
  });
  const followers = makeFollowers({ patienceMs: 60_000 }, now);
  onTestFinished(() => {
    followers.off();
    waits.endAll(null);
  });
  followers.trust();
  const following = makeFollowing({
    ...{ waits, followers, load: { isQuick: true }, sessions: { count: 2 }, bulkRoom: () => 1 },
    ...{ mayTake: () => true, mayHaveOther: () => false, staysOpen: () => true },
  });
  void waits.join({ line: 'bulk', reserve: 0 });
  for (let n = 0; n < 8; n++) void waits.join({ line: 'transactional', reserve: 0 });
  const [one, other] = [{ given: 1 } as SmtpSession, { given: 2 } as SmtpSession];
  for (let n = 0; n < 3; n++)
    waits.give(
      (lane) => newHold(one, lane),
      () => true,
    );
  const follow = (session: SmtpSession) => following.follow(newHold(session, 'transactional'));
  return { following, follow, one, other, left: () => waits.countOf('bulk') };
}

it('one session is left to bulk whose turn it is, and messages follow on the others until that one is free', () => {
  const { following, follow, one, other, left } = openFollowing();
  expect(follow(one)).toBe(false);
  expect(follow(other)).toBe(true);
  following.ended(other);
  expect(follow(other)).toBe(true);
  following.ended(one);
  expect(follow(other)).toBe(false);
  expect(left()).toBe(1);
});
