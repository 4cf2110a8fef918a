/** A list of emails by their status, while emails move on between the look into the index and the look at each of them. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail } from '../../src/domain/email.ts';
import { makeId } from '../../src/domain/id.ts';
import type { IndexQuery } from '../../src/store/email-index.ts';
import { type Emails, openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { packState } from '../../src/store/record.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let emails: Emails;
let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
  emails = openEmails(redis);
});

/** Stores emails, the oldest first, and gives some of them another status of which the index knows nothing yet. */
async function store(count: number, moved: readonly number[]): Promise<string[]> {
  const ids: string[] = [];
  for (let now = 0; now < count; now++) {
    const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' });
    const email = acceptEmail(request, { id: makeId('em', now, new Uint8Array(10)), keyId: 'k', now });
    const { facts, state } = email;
    await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now });
    const sent = { ...state, recipients: state.recipients.map((one) => ({ ...one, status: 'sent' as const })) };
    if (moved.includes(now)) await redis.hset(keys.email(facts.id), 'state', packState(sent, facts));
    ids.push(facts.id);
  }
  return ids;
}

async function find(limit: number, cursor: IndexQuery['cursor'] = null) {
  const groups = [[['status', 'queued'] as const]];
  const page = await emails.find({ groups, cursor, createdFrom: null, createdTo: null, limit });
  return page && { ids: page.emails.map(({ facts }) => facts.id), hasMore: page.hasMore };
}

it('leaves out who moved on, and says by all that fitted whether others follow', async () => {
  const ids = await store(5, [3]);
  expect(await find(3)).toEqual({ ids: [ids[4], ids[2]], hasMore: true });
  expect(await find(5)).toEqual({ ids: [ids[4], ids[2], ids[1], ids[0]], hasMore: false });
});

it('goes on where all of a page moved on, so that its last email leads further', async () => {
  const ids = await store(6, [2, 3, 4]);
  expect(await find(2, { side: 'older', id: ids[5] ?? '' })).toEqual({ ids: [ids[1]], hasMore: true });
  expect(await find(2, { side: 'newer', id: ids[1] ?? '' })).toEqual({ ids: [ids[5]], hasMore: false });
  expect(await find(3, { side: 'newer', id: ids[1] ?? '' })).toEqual({ ids: [ids[5]], hasMore: false });
});

it('is empty where all moved on', async () => {
  await store(2, [0, 1]);
  expect(await find(1)).toEqual({ ids: [], hasMore: false });
});
