/** Who is in a campaign and what became of each: pages by where they stand, and everybody at once. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type PlaceMark, placeMarks } from '../../src/domain/campaign.ts';
import { placeFacts } from '../../src/domain/campaign-email.ts';
import { placeId } from '../../src/domain/id.ts';
import { packOutcomes } from '../../src/store/campaign-outcomes.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { keys } from '../../src/store/keys.ts';
import { packFacts, packState } from '../../src/store/record.ts';
import { apiClient, type Body, type Postrider, testApiKey } from '../support/postrider.ts';
import { recipient, storedEmail } from '../support/requests.ts';
import { usePostrider } from '../support/use-postrider.ts';

let redis: Redis;
let postrider: Postrider;
/** The campaign that all tests read: recipients in three chunks, some of which workers have been at. */
let campaignId: string;
usePostrider(async (own, server) => {
  postrider = own;
  redis = server.connect();
  campaignId = await makeCampaign(1_203);
  await mark(700, 'bounced');
  await mark(1_201, 'bounced');
  await mark(5, 'handing');
  await leave(6, 'deferred');
  await leave(7, 'sent');
  await leave(8, 'deferred', { jobId: 'jb_1', transport: 'ses', at: 1 });
  await mark(9, 'left');
  const outcome = { place: 700, attempts: 1, transport: 'ses', reply: '550 5.1.1 No', reason: null, trace: null };
  await redis.rpush(
    keys.campaignOutcomes(campaignId, 1),
    packOutcomes([
      { ...outcome, at: 5, reply: '450 4.2.0 Later' },
      { ...outcome, at: 1_000 },
    ]),
  );
});

async function makeCampaign(count: number): Promise<string> {
  const letter = { from: 'news@example.com', subject: 'News', text: 'News' };
  const { id } = (await postrider.api('POST', '/v1/campaigns', letter)).body;
  const list = Array.from({ length: count }, (_, n) => ({
    email: `u${n}@example.org`,
    ...(n === 3 ? { name: 'A, "B"' } : {}),
    ...(n === 700 ? { name: '=1+1' } : {}),
  }));
  await postrider.api('POST', `/v1/campaigns/${id}/recipients`, list);
  return id;
}

/** As it stands once a worker has been there. */
async function mark(place: number, to: PlaceMark): Promise<void> {
  await redis.setrange(keys.campaignMarks(campaignId), place, placeMarks[to]);
}

async function leave(place: number, status: 'deferred' | 'sent', handOver: object | null = null): Promise<void> {
  const campaign = await openCampaigns(redis).get(campaignId);
  if (campaign === null) throw new Error('there is none');
  const facts = placeFacts({ head: campaign.head, startedAt: 1_000_000 }, place);
  const { state } = storedEmail([recipient(`u${place}@example.org`, { status, attempts: 2, transport: 'ses' })], {
    facts,
  });
  const fields = { facts: packFacts(facts), state: packState(state, facts), version: 2 };
  await redis.hset(keys.email(facts.id), { ...fields, ...(handOver && { handOver: JSON.stringify(handOver) }) });
  await mark(place, 'left');
}

const list = async (query: string) =>
  (await postrider.api('GET', `/v1/campaigns/${campaignId}/recipients?${query}`)).body;
const emails = ({ data }: Body) => data.map((one) => Number(/\d+/.exec((one as unknown as { email: string }).email)));

it('pages go on in the order in which they were added, over chunks', async () => {
  const seen: number[] = [];
  for (let after = ''; ; ) {
    const body = await list(`limit=100${after}`);
    seen.push(...emails(body));
    if (!body.has_more) break;
    after = `&after=${(body.data.at(-1) as unknown as { email_id: string }).email_id}`;
  }
  expect(seen).toEqual(Array.from({ length: 1_203 }, (_, n) => n));
  const { data } = await list('limit=1');
  expect(data).toEqual([
    {
      ...{ object: 'campaign_recipient', email_id: placeId(campaignId, 0), email: 'u0@example.org', name: null },
      ...{ status: 'queued', smtp: null, transport: null, attempts: 0, reason: null, at: null },
    },
  ]);
  const refused = await postrider.api('GET', `/v1/campaigns/${campaignId}/recipients?after=em_${'0'.repeat(26)}`);
  expect(refused.status).toBe(422);
});

it('each recipient has the status of its mark or its later record, and a page by status has only those', async () => {
  const bounced = await list('status=bounced');
  expect([emails(bounced), bounced.has_more]).toEqual([[700, 1_201], false]);
  expect(bounced.data[0]).toMatchObject({
    smtp: { code: 550, enhanced: '5.1.1' },
    ...{ transport: 'ses', attempts: 1, at: '1970-01-01T00:00:01.000Z' },
  });
  expect(emails(await list('status=bounced&limit=1'))).toEqual([700]);
  expect(emails(await list(`status=bounced&after=${placeId(campaignId, 700)}`))).toEqual([1_201]);
  expect(emails(await list('status=sending'))).toEqual([5, 8]);
  expect(emails(await list('status=deferred'))).toEqual([6]);
  expect(emails(await list('status=sent'))).toEqual([7]);
  expect(emails(await list('status=complained'))).toEqual([]);
  expect(emails(await list('status=pending&limit=9'))).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 10]);
  expect((await list('limit=10')).data.slice(6)).toMatchObject([
    { status: 'deferred', attempts: 2, transport: 'ses' },
    { status: 'sent' },
    { status: 'sending' },
    { status: null, email: 'u9@example.org' },
  ]);
});

it('all recipients come in one answer, as NDJSON and as CSV, which can be uploaded again', async () => {
  const all = async (query: string) => {
    const headers = { authorization: `Bearer ${testApiKey}` };
    const answer = await fetch(`${postrider.url}/v1/campaigns/${campaignId}/recipients?${query}`, { headers });
    return { type: answer.headers.get('content-type'), text: await answer.text() };
  };
  const ndjson = await all('format=ndjson');
  const lines = ndjson.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect([ndjson.type, lines.length, lines[3].name]).toEqual(['application/x-ndjson', 1_203, 'A, "B"']);
  const csv = await all('format=csv&status=bounced');
  expect(csv.text.split('\r\n')).toEqual([
    'email_id,email,name,status,smtp,transport,attempts,reason,at',
    `${placeId(campaignId, 700)},u700@example.org,'=1+1,bounced,550 5.1.1 No,ses,1,,1970-01-01T00:00:01.000Z`,
    `${placeId(campaignId, 1_201)},u1201@example.org,,bounced,,,0,,`,
    '',
  ]);
  const again = await makeCampaign(0);
  for (const [type, { text }] of Object.entries({
    'text/csv': await all('format=csv'),
    'application/x-ndjson': ndjson,
  })) {
    const { body } = await postrider.api('POST', `/v1/campaigns/${again}/recipients`, text, { 'content-type': type });
    expect(body).toMatchObject({ received: 1_203, invalid: 0 });
  }
});

it.each([{ from_domains: ['other.example'] }, { lanes: ['transactional'] }])(
  'a key with %o may not see the campaign, nor its recipients in any form',
  async (limits) => {
    const { token } = (await postrider.api('POST', '/v1/api-keys', { name: 'limited', ...limits })).body;
    const limited = apiClient(postrider.url, token);
    for (const query of ['', '?format=ndjson', '?format=csv'])
      expect((await limited('GET', `/v1/campaigns/${campaignId}/recipients${query}`)).status).toBe(404);
  },
);
