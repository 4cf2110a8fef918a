/** Events by their id: each is told apart from every other, and found where it stands, whoever it is of and however long that was there before. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import type { CampaignMove } from '../../src/domain/campaign.ts';
import { lostOutcome, placeEmail } from '../../src/domain/campaign-email.ts';
import type { StoredEmail } from '../../src/domain/email.ts';
import type { EmailEvent } from '../../src/domain/event.ts';
import { makeId, placeId } from '../../src/domain/id.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { settlePlace } from '../../src/pipeline/settle-place.ts';
import { keys } from '../../src/store/keys.ts';
import { unpackEvent } from '../../src/store/record.ts';
import { addCampaign } from '../support/campaigns.ts';
import { emailStagesOver } from '../support/email-stages.ts';
import { newId, storeOver, type TestStore } from '../support/store.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: TestStore['redis'];
let store: TestStore['store'];
useTestRedis(async (server) => {
  redis = server.connect();
  store = await storeOver(redis);
});

const hour = 3_600_000;
const now = () => Date.now();
const policy = { scheduleMs: [60_000], maxAgeMs: hour };

const move = (id: string, asked: CampaignMove) =>
  store.campaigns.move(id, { move: asked, changeId: newId('ch'), now: now(), at: null });

async function settle(id: string, place: number, outcome: SettledOutcome): Promise<void> {
  const [campaign, placed] = [await store.campaigns.get(id), await store.campaigns.at(id, place)];
  if (campaign === null || placed === null) throw new Error('It is not stored');
  const email = placeEmail(
    { head: campaign.head, state: { status: 'running', startedAt: now(), scheduledAt: null } },
    placed,
    'News',
    now(),
  );
  const content = { html: null, text: ['t'], headers: {}, attachments: [] };
  const held = { campaignId: id, place, from: 'queued' as const, email };
  const deps = {
    ...store,
    slices: store.slices,
    policies: { transactional: policy, bulk: policy },
    newId,
    now,
    rand: () => 0,
    settleLeft: async () => {},
  };
  expect(
    await settlePlace(deps, { ...held, fill: () => ({ email, content }), subject: () => null }, outcome),
  ).not.toBeNull();
}

/** Where each event stands, and where it is found by its id. */
async function places(): Promise<{ stands: string[]; found: (string | null)[]; ids: Set<string>; types: string[] }> {
  const rows = await redis.xrange(keys.outbox, '-', '+');
  const events = rows.map(([, [, json = '']]) => unpackEvent(json));
  const found: (string | null)[] = [];
  for (const { id } of events) found.push(await store.events.find(id));
  const [ids, types] = [new Set(events.map(({ id }) => id)), events.map(({ type }) => type)];
  return { stands: rows.map(([place]) => place), found, ids, types };
}

it('all of a campaign are found by their ids, however long ago its draft was made', async () => {
  const id = await addCampaign(redis, { recipients: 3, status: 'draft', madeAt: now() - hour });
  for (const asked of ['start', 'pause', 'resume'] as const) await move(id, asked);
  const answered = { kind: 'answered', transport: 't' } as const;
  const to = (n: number, reply: string, code: number) => [
    { address: `r${n}@example.com`, smtp: { code, enhanced: null, reply } },
  ];
  await settle(id, 0, { ...answered, replies: to(0, '250 ok', 250) });
  await settle(id, 1, lostOutcome('r1@example.com'));
  await settle(id, 2, { kind: 'undeliverable', transport: 't', detail: 'it cannot be made' });
  const { emailsAnywhere: emails, change } = emailStagesOver(store);
  const asked = async (place: number, kind: 'retried' | 'canceled') =>
    change((await emails.read(placeId(id, place))) as StoredEmail, { kind });
  expect((await asked(2, 'retried')).kind).toBe('changed');
  for (const place of [1, 2]) expect((await asked(place, 'canceled')).kind).toBe('changed');
  const { stands, found, ids, types } = await places();
  expect(types.filter((type) => type.startsWith('campaign.'))).toEqual([
    'campaign.started',
    'campaign.paused',
    'campaign.resumed',
    'campaign.completed',
  ]);
  expect(types).toEqual(expect.arrayContaining(['email.sent', 'email.failed', 'email.canceled']));
  expect(ids.size).toBe(stands.length);
  expect(found).toEqual(stands);
});

it('those of several places are read in one step, each in the order asked for; a place that is gone has none', async () => {
  const id = await addCampaign(redis, { recipients: 1, status: 'draft', madeAt: now() - hour });
  for (const asked of ['start', 'pause'] as const) await move(id, asked);
  const [first = '', second = ''] = (await redis.xrange(keys.outbox, '-', '+')).map(([place]) => place);
  await redis.config('RESETSTAT');
  const read = await Promise.all([second, '1-1', 'no place', first].map((place) => store.events.at(place)));
  expect(read.map((event) => event?.type)).toEqual(['campaign.paused', undefined, undefined, 'campaign.started']);
  expect(await redis.info('commandstats')).toMatch(/cmdstat_eval(sha)?:calls=1,/);
});

it('an event without its email, which is gone, has an id of its own each time', async () => {
  const emailId = makeId('em', now() - hour, randomBytes(10));
  for (const address of ['a@x.co', 'b@x.co']) {
    const event: EmailEvent = {
      ...{ id: newId('ev'), type: 'email.unsubscribed', at: now(), emailId, sequence: 0, to: [address] },
      ...{ attempt: 0, transport: null, smtp: null, reason: null },
    };
    const suppression = {
      id: newId('sp'),
      address,
      scope: 'bulk',
      reason: 'unsubscribe',
      emailId,
      note: null,
    } as const;
    await store.suppressions.addTold(suppression, event);
    expect(await store.events.find(event.id)).not.toBeNull();
  }
  const { stands, found, ids } = await places();
  expect(ids.size).toBe(stands.length);
  expect(found).toEqual(stands);
});
