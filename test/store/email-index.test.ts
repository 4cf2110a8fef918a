/** The index against a plain list that is filtered: the same emails in the same order, whatever is asked, in bounded steps, while it changes. */
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail, type StoredEmail, statusOf } from '../../src/domain/email.ts';
import { makeId, timeOfId } from '../../src/domain/id.ts';
import { lanes } from '../../src/domain/lane.ts';
import { type RecipientStatus, recipientStatuses } from '../../src/domain/recipient.ts';
import { findIds, type IndexQuery, movedPosting, postingsOf, type Term } from '../../src/store/email-index.ts';
import { keys } from '../../src/store/keys.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const count = 500;
/** Emails were made within this many milliseconds, so that many share one. */
const span = 200;
const start = 1_700_000_000_000;
const domains = ['x.co', 'y.co', 'z.co'];
const people = ['ann@p.co', 'Ben@p.co', 'cleo@q.co', 'dan@q.co'];
const tags = [
  { name: 'kind', value: 'receipt' },
  { name: 'kind', value: 'code' },
  { name: 'team', value: '' },
];

type Indexed = Pick<StoredEmail, 'facts' | 'state'>;

const given = fc.record({
  at: fc.integer({ min: start, max: start + span }),
  entropy: fc.uint8Array({ minLength: 10, maxLength: 10 }),
  domain: fc.constantFrom(...domains),
  lane: fc.constantFrom(...lanes),
  to: fc.subarray(people, { minLength: 1 }),
  tags: fc.subarray(tags).filter((some) => some.filter(({ name }) => name === 'kind').length < 2),
  external: fc.constantFrom(undefined, 'order-1', 'order-2'),
  status: fc.constantFrom(...recipientStatuses),
});

function toEmail({
  at,
  entropy,
  domain,
  external,
  status,
  ...rest
}: typeof given extends fc.Arbitrary<infer T> ? T : never): Indexed {
  const external_id = external === undefined ? {} : { external_id: external };
  const request = emailRequest.parse({ from: `f@${domain}`, subject: 's', text: 't', ...rest, ...external_id });
  const { facts, state } = acceptEmail(request, { id: makeId('em', at, entropy), keyId: 'k', now: at });
  return { facts, state: withStatus(state, status) };
}

function withStatus(state: StoredEmail['state'], status: RecipientStatus): StoredEmail['state'] {
  return { ...state, recipients: state.recipients.map((recipient) => ({ ...recipient, status })) };
}

async function index(emails: readonly Indexed[]): Promise<void> {
  await redis.del(keys.emailIndex);
  for (const { facts, state } of emails) await add(facts, state);
}

/** Postings stand one after the other, 24 bytes each. */
async function add(facts: Indexed['facts'], state: Indexed['state']): Promise<void> {
  const all = postingsOf(facts, state);
  const postings = Array.from({ length: all.length / 24 }, (_, n) => all.subarray(24 * n, 24 * (n + 1)));
  await redis.zadd(keys.emailIndex, ...postings.flatMap((posting) => [0, posting]));
}

function fits({ facts, state }: Indexed, [kind, value, more]: Term): boolean {
  if (kind === 'lane') return facts.lane === value;
  if (kind === 'status') return statusOf(state) === value;
  if (kind === 'from_domain') return facts.from.address.endsWith(`@${value}`);
  if (kind === 'to') return state.recipients.some(({ address }) => address.toLowerCase() === value.toLowerCase());
  if (kind === 'external_id') return facts.externalId === value;
  return facts.tags.some((tag) => tag.name === value && tag.value === more);
}

/** What the index has to answer, by looking at every email. */
function filtered(emails: readonly Indexed[], { groups, cursor, createdFrom, createdTo, limit }: IndexQuery): string[] {
  const ids = emails
    .filter((email) => groups.every((group) => group.some((term) => fits(email, term))))
    .map(({ facts }) => facts.id)
    .filter((id) => timeOfId(id) >= (createdFrom ?? 0) && timeOfId(id) <= (createdTo ?? Number.MAX_SAFE_INTEGER))
    .filter((id) => cursor === null || (cursor.side === 'older' ? id < cursor.id : id > cursor.id))
    .toSorted()
    .toReversed();
  return cursor?.side === 'newer' ? ids.slice(-limit) : ids.slice(0, limit);
}

const term = {
  status: fc.constantFrom(...recipientStatuses).map((value): Term => ['status', value]),
  to: fc.constantFrom(...people, 'ANN@p.co', 'ben@p.co', 'nobody@p.co').map((value): Term => ['to', value]),
  tag: fc.constantFrom(...tags, { name: 'kind', value: 'none' }).map((tag): Term => ['tag', tag.name, tag.value]),
  external: fc.constantFrom('order-1', 'order-2', 'none').map((value): Term => ['external_id', value]),
};
const groups = fc
  .tuple(
    fc.subarray(Object.values(term), { maxLength: 4 }).chain((terms) => fc.tuple(...terms)),
    fc.option(fc.subarray(domains), { nil: null }),
    fc.option(fc.subarray([...lanes], { minLength: 1 }), { nil: null }),
  )
  .map(([asked, from, lane]): Term[][] => [
    ...asked.map((one) => [one]),
    ...(from === null ? [] : [from.map((domain): Term => ['from_domain', domain])]),
    ...(lane === null && (asked.length > 0 || from !== null)
      ? []
      : [(lane ?? lanes).map((value): Term => ['lane', value])]),
  ]);
const bound = fc.option(fc.integer({ min: start - 5, max: start + span + 5 }), { nil: null });
const limit = fc.oneof(fc.integer({ min: 1, max: 21 }), fc.constant(count));

it('finds what a look at every email would find', async () => {
  const emails = fc.sample(given, count).map(toEmail);
  await index(emails);
  const cursor = fc.option(
    fc.record({
      side: fc.constantFrom('older' as const, 'newer' as const),
      id: fc.oneof(
        fc.constantFrom(...emails.map(({ facts }) => facts.id)),
        given.map(({ at, entropy }) => makeId('em', at, entropy)),
      ),
    }),
    { nil: null },
  );
  const query = fc.record({ groups, cursor, createdFrom: bound, createdTo: bound, limit });
  await fc.assert(
    fc.asyncProperty(query, async (asked) => {
      expect(await findIds(redis, asked)).toEqual(filtered(emails, asked));
    }),
    { numRuns: 1_500 },
  );
});

it('looks up at most about 500 postings in one step, however many it has to pass', async () => {
  // Ones and twos take turns, so that a join of the two has to pass every one of them.
  const emails = Array.from({ length: 3_000 }, (_, n) =>
    toEmail({
      ...{ at: start + n, entropy: new Uint8Array(10), domain: 'x.co', lane: 'bulk', to: ['ann@p.co'], tags: [] },
      ...{ external: n % 2 === 0 ? 'order-1' : 'order-2', status: 'sent' },
    }),
  );
  await index(emails);
  await redis.config('RESETSTAT');
  const none = { groups: [[['external_id', 'order-1']], [['external_id', 'order-2']]] as Term[][], cursor: null };
  expect(await findIds(redis, { ...none, createdFrom: null, createdTo: null, limit: 20 })).toEqual([]);
  const calls = async (command: string) =>
    Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.info('commandstats'))?.[1] ?? 0);
  const [lookUps, runs] = [await calls('zrevrangebylex'), (await calls('evalsha')) + (await calls('eval'))];
  expect(lookUps).toBeGreaterThanOrEqual(3_000);
  expect(lookUps / runs).toBeLessThanOrEqual(510);
  expect(await findIds(redis, { ...none, createdFrom: null, createdTo: null, limit: 20 }, 3)).toBeNull();
});

it('its pages neither skip nor repeat while emails are added and move on', async () => {
  const sample = fc.sample(given, 400).map(toEmail);
  const [older, newer] = [sample.slice(0, 200), sample.slice(200)];
  // What is added is newer than what was there, as it is in life.
  const added = newer.map((email, n) => ({
    ...email,
    facts: { ...email.facts, id: makeId('em', start + span + 1 + n, new Uint8Array(10)) },
  }));
  await index(older);
  const groupsOfAll: Term[][] = [lanes.map((lane): Term => ['lane', lane])];
  const all = { groups: groupsOfAll, createdFrom: null, createdTo: null, limit: 7 };
  const seen: string[] = [];
  for (let last: string | undefined; ; ) {
    const page =
      (await findIds(redis, { ...all, cursor: last === undefined ? null : { side: 'older', id: last } })) ?? [];
    seen.push(...page);
    last = page.at(-1);
    if (last === undefined) break;
    for (const { facts, state } of added.splice(0, 5)) await add(facts, state);
    const moving = older[seen.length % older.length] as Indexed;
    const [was, is] = movedPosting(moving.facts.id, moving.state, withStatus(moving.state, 'complained')) ?? [];
    if (was !== undefined && is !== undefined)
      await redis.multi().zrem(keys.emailIndex, was).zadd(keys.emailIndex, 0, is).exec();
  }
  const expected = older
    .map(({ facts }) => facts.id)
    .toSorted()
    .toReversed();
  expect(seen).toEqual(expected);
});
