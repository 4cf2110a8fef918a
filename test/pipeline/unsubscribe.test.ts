/** unsubscribe: a link is anybody's to follow, however often, and each email's tells of it once. */
import { expect, it } from 'vitest';
import { acceptEmail } from '../../src/domain/email.ts';
import { placeId } from '../../src/domain/id.ts';
import { unsubscribe } from '../../src/pipeline/unsubscribe.ts';
import { addCampaign, eventsIn } from '../support/campaigns.ts';
import { emailStagesOver } from '../support/email-stages.ts';
import { emailRequest } from '../support/requests.ts';
import { newId, storeOver, type TestStore } from '../support/store.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: TestStore['redis'];
let store: TestStore['store'];
useTestRedis(async (server) => {
  redis = server.connect();
  store = await storeOver(redis);
});

const now = () => Date.now();
const address = () => `${newId('rq')}@x.co`;

async function accepted(to: string): Promise<string> {
  const id = newId('em');
  const request = emailRequest.parse({ from: 'news@x.co', to, subject: 'News', text: 't', lane: 'bulk' });
  const email = acceptEmail(request, { id, keyId: 'ak', now: now() });
  await store.emails.create([{ email, claim: null }], { batchClaim: null, isStrict: false, now: now() });
  return id;
}

async function placed(to: string): Promise<string> {
  return placeId(await addCampaign(redis, { recipients: [{ address: to, variables: {} }] }), 0);
}

function follow(emailId: string, to: string): Promise<void> {
  const { emailsAnywhere: emails, change } = emailStagesOver(store);
  return unsubscribe({ ...store, emails, change, newId, now }, { emailId, address: to });
}

async function told(to: string): Promise<string[]> {
  const events = await eventsIn(redis);
  return events.flatMap((one) => (one.type === 'email.unsubscribed' && one.to.includes(to) ? [one.emailId] : []));
}

it.each([
  ['with a record', accepted],
  ['at its place in a campaign', placed],
])('each of two emails to a reader reports it once, however often its link is followed: %s', async (_, send) => {
  const to = address();
  const [first, second] = [await send(to), await send(to)];
  for (const id of [first, first, second, second, second]) await follow(id, to);
  expect(await told(to)).toEqual([first, second]);
  expect((await store.emails.timeline(second)).steps.map(({ kind }) => kind)).toEqual(['unsubscribed']);
  expect(await store.suppressions.get(to)).toMatchObject([{ reason: 'unsubscribe', emailId: first }]);
});

it.each([
  ['with a record', accepted],
  ['at its place in a campaign', placed],
])(
  'several clicks at once are one event, also when the address was suppressed manually before: %s',
  async (_, send) => {
    const to = address();
    const manual = { scope: 'bulk', reason: 'manual', emailId: null, note: null } as const;
    await store.suppressions.add([{ ...manual, id: newId('sp'), address: to }]);
    const id = await send(to);
    await Promise.all([follow(id, to), follow(id, to), follow(id, to)]);
    await follow(id, to);
    expect(await told(to)).toEqual([id]);
    expect(await store.suppressions.get(to)).toMatchObject([{ reason: 'unsubscribe', emailId: id }]);
  },
);

it.each([
  ['with a record', accepted],
  ['at its place in a campaign', placed],
  ['that is gone', async () => newId('em')],
])('a reader who follows a link stays unsubscribed when a manual entry is lifted: %s', async (_, send) => {
  const to = address();
  const id = await send(to);
  const manual = { scope: 'bulk', reason: 'manual', emailId: null, note: null } as const;
  const held = { ...manual, id: newId('sp'), address: to };
  await store.suppressions.add([held]);
  await follow(id, to);
  await store.suppressions.remove(held);
  expect([...(await store.suppressions.find([to], 'bulk')).values()]).toMatchObject([{ reason: 'unsubscribe' }]);
  expect(await told(to)).toEqual([id]);
});

it('the same link suppresses an address again that was removed from the list, with a new event', async () => {
  const to = address();
  const id = await accepted(to);
  await follow(id, to);
  for (const one of await store.suppressions.get(to)) await store.suppressions.remove(one);
  for (const _ of [1, 2]) await follow(id, to);
  expect(await store.suppressions.get(to)).toMatchObject([{ reason: 'unsubscribe', emailId: id }]);
  expect(await told(to)).toEqual([id, id]);
});

it('a link of an email that is gone writes an event only for a new suppression', async () => {
  const to = address();
  const gone = newId('em');
  for (const _ of [1, 2]) await follow(gone, to);
  await follow(newId('em'), to);
  expect(await told(to)).toEqual([gone]);
});
