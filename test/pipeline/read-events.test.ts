/** A page of the feed while what it has not come to is removed: what was found is told, and that there is a gap right after that. */
import { expect, it } from 'vitest';
import { adminKey } from '../../src/domain/api-key.ts';
import type { EmailEventType } from '../../src/domain/event.ts';
import { readEvents } from '../../src/pipeline/read-events.ts';
import { openEmails } from '../../src/store/emails.ts';
import { type EventFeed, openEventFeed } from '../../src/store/event-feed.ts';
import { keys } from '../../src/store/keys.ts';
import { packEvent } from '../../src/store/record.ts';
import { emailIdOf, eventOf } from '../support/event-feed.ts';
import { openTestRedis } from '../support/redis.ts';

it('a page that the trim overtakes returns the events it has found; the next page reports the gap', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const places: string[] = [];
  for (let n = 0; n < 1_200; n++) {
    const type: EmailEventType = n === 10 ? 'email.bounced' : 'email.sent';
    const place = await redis.xadd(keys.outbox, '*', 'event', packEvent(eventOf(emailIdOf(0), n + 1, { type })));
    places.push(place ?? '');
  }
  const [first = '', lastGone = '', firstKept = ''] = [places[0], places[899], places[900]];
  const feed = openEventFeed(redis);
  const read: EventFeed['read'] = async (after, count) => {
    const stretch = await feed.read(after, count);
    await redis.multi().xtrim(keys.outbox, 'MINID', firstKept).set(keys.outboxTrimmed, lastGone).exec();
    return stretch;
  };
  const deps = { emails: openEmails(redis), eventFeed: { read } };
  const audience = { types: new Set<EmailEventType>(['email.bounced']), limits: adminKey };
  const page = await readEvents(deps, audience, first, 10);
  expect(page).toMatchObject({ kind: 'told', items: [{ cursor: places[10] }], hasMore: true });
  const next = page.kind === 'told' ? page.next : null;
  expect(await readEvents(deps, audience, next, 10)).toEqual({ kind: 'gone', upTo: lastGone });
});

it('a reader that may see only some events reads the log about twice, page after page', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const [count, limit] = [1_200, 10];
  for (let n = 0; n < count; n++) {
    const type: EmailEventType = n % 3 === 0 ? 'email.bounced' : 'email.sent';
    await redis.xadd(keys.outbox, '*', 'event', packEvent(eventOf(emailIdOf(0), n + 1, { type })));
  }
  const feed = openEventFeed(redis);
  let looked = 0;
  const read: EventFeed['read'] = async (after, most) => {
    const stretch = await feed.read(after, most);
    looked += stretch.entries.length;
    return stretch;
  };
  const audience = { types: new Set<EmailEventType>(['email.bounced']), limits: adminKey };
  const deps = { emails: openEmails(redis), eventFeed: { read } };
  let told = 0;
  for (let next: string | null = null, hasMore = true; hasMore; ) {
    const page = await readEvents(deps, audience, next, limit);
    if (page.kind === 'gone') expect.fail('nothing is gone');
    ({ next, hasMore } = page);
    told += page.items.length;
  }
  expect(told).toBe(count / 3);
  expect(looked).toBeLessThan(2 * count);
});
