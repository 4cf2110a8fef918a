/** Page after page, whatever is asked for and in whatever steps: each event that a reader is told of once, in the order of the log. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { adminKey } from '../../src/domain/api-key.ts';
import { emailEventTypes } from '../../src/domain/event.ts';
import { isVisibleTo, type Reader } from '../../src/domain/event-feed.ts';
import { readEvents } from '../../src/pipeline/read-events.ts';
import { openEmails } from '../../src/store/emails.ts';
import { openEventFeed } from '../../src/store/event-feed.ts';
import { keys } from '../../src/store/keys.ts';
import { packEvent, packFacts, packPlainEvent } from '../../src/store/record.ts';
import { emailIdOf, eventOf, transportEvent } from '../support/event-feed.ts';
import { openTestRedis } from '../support/redis.ts';
import { storedEmail } from '../support/requests.ts';

const domains = ['a.example', 'b.example'];
const lanes = ['transactional', 'bulk'] as const;
const facts = domains.flatMap((domain, d) =>
  lanes.map((lane, l) => {
    const given = { id: emailIdOf(2 * d + l), from: { address: `x@${domain}` }, lane };
    return storedEmail([], { facts: given }).facts;
  }),
);

/** Of one of the emails, of one whose record is gone, or of a transport. */
const happening = fc.record({
  of: fc.integer({ min: 0, max: facts.length + 1 }),
  type: fc.constantFrom(...emailEventTypes),
});
const audience: fc.Arbitrary<Reader> = fc.record({
  types: fc.option(fc.subarray([...emailEventTypes]).map((types) => new Set(types))),
  limits: fc
    .record({
      fromDomains: fc.option(fc.subarray(domains, { minLength: 1 })),
      lanes: fc.option(fc.subarray([...lanes], { minLength: 1 })),
    })
    .map((limits) => ({ ...adminKey, ...limits })),
});

it('pages are the log without the events that a reader may not see', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const deps = { emails: openEmails(redis), eventFeed: openEventFeed(redis) };
  const steps = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
  const happenings = fc.array(happening, { maxLength: 1_500, size: 'max' });
  const property = fc.asyncProperty(happenings, audience, steps, async (all, who, limits) => {
    await redis.flushall();
    for (const fact of facts) await redis.hset(keys.email(fact.id), 'facts', packFacts(fact));
    const events = all.map(({ of, type }, n) =>
      of > facts.length ? transportEvent(n % 200) : eventOf(emailIdOf(of), n + 1, { type }),
    );
    const writes = redis.pipeline();
    for (const event of events)
      writes.xadd(keys.outbox, '*', 'event', 'emailId' in event ? packEvent(event) : packPlainEvent(event));
    await writes.exec();

    const told: string[] = [];
    let after: string | null = null;
    for (let round = 0, more = true; more; round++) {
      const limit = limits[round % limits.length] ?? 1;
      const page = await readEvents(deps, who, after, limit);
      if (page.kind === 'gone') throw new Error('nothing was removed');
      expect(page.items.length).toBeLessThanOrEqual(limit);
      // Every page that is not the last makes way.
      expect(page.hasMore && page.next === after).toBe(false);
      told.push(...page.items.map(({ event }) => event.id));
      after = page.next;
      more = page.hasMore;
    }
    const factsOf = (index: number) => facts[all[index]?.of ?? facts.length] ?? null;
    const expected = events.filter((event, index) => isVisibleTo(who, { event, facts: factsOf(index) }));
    expect(told).toEqual(expected.map(({ id }) => id));
  });
  await fc.assert(property, { numRuns: 15 });
});
