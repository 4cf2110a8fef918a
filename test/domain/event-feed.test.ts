/** Places in the feed, and who is told of what. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adminKey, type KeyLimits } from '../../src/domain/api-key.ts';
import type { EventType } from '../../src/domain/event.ts';
import { compareCursors, cursorForm, isVisibleTo } from '../../src/domain/event-feed.ts';
import { eventOf, transportEvent } from '../support/event-feed.ts';
import { storedEmail } from '../support/requests.ts';

const part = fc.bigInt({ min: 0n, max: 9_999_999_999_999_999_999n });
const sign = (x: bigint) => (x < 0n ? -1 : x > 0n ? 1 : 0);

it('cursors are in the order of their numbers, however many digits those have', () => {
  const near = fc
    .tuple(part, fc.bigInt({ min: -2n, max: 2n }))
    .map(([x, d]): [bigint, bigint] => [x, x + d < 0n ? x : x + d]);
  fc.assert(
    fc.property(fc.oneof(near, fc.tuple(part, part)), fc.tuple(part, part), ([a, b], [x, y]) => {
      fc.pre(b <= 9_999_999_999_999_999_999n);
      const [one, other] = [`${a}-${x}`, `${b}-${y}`];
      expect(compareCursors(one, other)).toBe(sign(a - b) || sign(x - y));
      expect(one).toMatch(cursorForm);
    }),
  );
});

it.each(['', '1', '1-', '-1', '1-2-3', ' 1-2', '1-2\n', '$', '1.5-0', '１-0', `${'9'.repeat(20)}-0`])(
  '%j is no cursor',
  (text) => {
    expect(text).not.toMatch(cursorForm);
  },
);

describe('a reader sees', () => {
  const { facts } = storedEmail([], { facts: { from: { address: 'a@shop.example' }, lane: 'bulk' } });
  const event = eventOf(facts.id, 1, { type: 'email.sent' });
  const types = new Set<EventType>(['email.sent']);
  const limited = (limits: Partial<KeyLimits>): KeyLimits => ({ ...adminKey, ...limits });
  it.each([
    ['the types it asks for', types, adminKey, true],
    ['no other type', new Set<EventType>(['email.bounced']), adminKey, false],
    ['all types when it asks for none', null, adminKey, true],
    ['emails of its domain', null, limited({ fromDomains: ['shop.example'] }), true],
    ['no emails of other domains', types, limited({ fromDomains: ['example'] }), false],
    ['emails of its lane', types, limited({ lanes: ['bulk'] }), true],
    ['no emails of other lanes', null, limited({ fromDomains: ['shop.example'], lanes: ['transactional'] }), false],
  ])('%s', (_, asked, limits, isTold) => {
    expect(isVisibleTo({ types: asked, limits }, { event, facts })).toBe(isTold);
  });

  it('events without a record of their email, only if it sees all mail', () => {
    for (const told of [event, transportEvent(1)]) {
      expect(isVisibleTo({ types: null, limits: adminKey }, { event: told, facts: null })).toBe(true);
      expect(
        isVisibleTo(
          { types: null, limits: limited({ lanes: ['bulk', 'transactional'] }) },
          { event: told, facts: null },
        ),
      ).toBe(false);
    }
  });
});
