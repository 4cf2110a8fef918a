/** PATCH /v1/campaigns/:id of drafts made of templates, and of drafts that have recipients. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { makeGate } from '../support/gate.ts';
import { type Postrider, testApiKey } from '../support/postrider.ts';
import { until } from '../support/until.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
let redis: Redis;
const api: Postrider['api'] = (...request) => postrider.api(...request);
const template = (alias: string, more: object) => api('POST', '/v1/templates', { name: alias, alias, ...more });
usePostrider(async (own, server) => {
  postrider = own;
  redis = server.connect();
  await template('a', { subject: 'A', html: 'a', from: 'A <a@example.com>', reply_to: ['ra@example.com'] });
  await template('b', { subject: 'B', html: 'b', from: 'B <b@example.com>', reply_to: ['rb@example.com'] });
  await template('bare', { subject: 'Bare', html: 'bare' });
});

const create = async (given: object) => (await api('POST', '/v1/campaigns', given)).body.id;
const change = (id: string, given: object) => api('PATCH', `/v1/campaigns/${id}`, given);
const upload = (id: string, row: object) =>
  api('POST', `/v1/campaigns/${id}/recipients`, JSON.stringify([{ email: 'ada@example.org', ...row }]));
const ofB = { subject: 'B', from: 'B <b@example.com>', reply_to: ['rb@example.com'], name: 'B', html: 'b' };

it('another template replaces what was taken from the one before', async () => {
  const id = await create({ template: { id: 'a' } });
  expect((await change(id, { template: { id: 'b' } })).body).toMatchObject(ofB);
});

it.each([
  ['subject', { subject: 'Own', name: 'Own' }],
  ['from', { from: 'own@example.com' }],
  ['reply_to', { reply_to: ['own@example.com'] }],
  ['name', { name: 'Own' }],
])('another template leaves %s as it was given, with the campaign or in a change', async (_, own) => {
  const given = await create({ template: { id: 'a' }, ...own });
  expect((await change(given, { template: { id: 'b' } })).body).toMatchObject({ ...ofB, ...own });
  const changed = await create({ template: { id: 'a' } });
  await change(changed, own);
  expect((await change(changed, { template: { id: 'b' } })).body).toMatchObject({ ...ofB, ...own });
});

it('a template without a sender cannot replace one with a sender that was taken from it', async () => {
  const id = await create({ template: { id: 'a' } });
  const { status, body } = await change(id, { template: { id: 'bare' } });
  expect([status, body.errors]).toMatchObject([422, [{ pointer: '/from', code: 'required' }]]);
  expect((await change(id, { template: { id: 'bare' }, from: 'own@example.com' })).status).toBe(200);
});

it('no variable gets another type once there are recipients, neither by a change nor by another template', async () => {
  const variables = [{ key: 'points', type: 'number' }];
  await template('typed', { subject: 's', html: '{{ points }}', variables });
  const id = await create({ subject: 's', from: 'a@example.com', html: '{{ points }}' });
  expect((await change(id, { variables })).status).toBe(200);
  expect((await change(id, { variables: null })).status).toBe(200);
  await upload(id, { points: '12' });
  for (const given of [{ variables }, { template: { id: 'typed' } }]) {
    const { status, body } = await change(id, given);
    expect([status, body]).toMatchObject([409, { campaign_status: 'draft', detail: /before points had this type/ }]);
  }
  expect((await change(id, { subject: 'Other' })).status).toBe(200);
});

/** An upload that waits between its two parts, under the key that `send` repeats it with. */
function sendSlowly(id: string, begin: string, end: string) {
  const gate = makeGate();
  async function* body() {
    yield Buffer.from(begin);
    await gate.pass();
    yield Buffer.from(end);
  }
  const answer = fetch(`${postrider.url}/v1/campaigns/${id}/recipients`, {
    method: 'POST',
    headers: { authorization: `Bearer ${testApiKey}`, ...listHeaders },
    body: ReadableStream.from(body()),
    duplex: 'half',
  } as RequestInit);
  return { answer, goOn: () => gate.open() };
}

const listHeaders = { 'content-type': 'text/csv', 'idempotency-key': 'list' };
const send = async (id: string, list: string) =>
  (await api('POST', `/v1/campaigns/${id}/recipients`, list, listHeaders)).body;
const pointsAs = (type: string) => ({ variables: [{ key: 'points', type }] });
const withPoints = { subject: 's', from: 'a@example.com', html: '{{ points }}' };

it('an upload that began before a variable got another type adds nobody, and its repeat is read by the new type', async () => {
  const id = await create(withPoints);
  const list = (points: string) => `email,points\nada@example.org,${points}\n`;
  const begun = sendSlowly(id, list('12'), '');
  await until('the upload to be read', async () => (await redis.exists(keys.campaignUploads(id))) === 1);
  expect((await change(id, pointsAs('number'))).status).toBe(200);
  begun.goOn();
  const refused = await begun.answer;
  expect([refused.status, await refused.json()]).toMatchObject([
    409,
    { detail: /got another type.+Send all of it again/ },
  ]);
  expect(await send(id, list('twelve'))).toMatchObject({ added: 0, invalid: 1 });
});

it('the repeat of such an upload reads also the records anew that were not valid by the old type', async () => {
  const id = await create({ ...withPoints, ...pointsAs('number') });
  const lines = Array.from({ length: 601 }, (_, n) => `ada${n}@example.org,twelve\n`);
  const [begin, end] = [`email,points\n${lines.slice(0, -1).join('')}`, lines.slice(-1).join('')];
  const begun = sendSlowly(id, begin, end);
  const progress = async () => Object.values(await redis.hgetall(keys.campaignUploads(id))).join();
  await until('its first batch to be stored', async () => (await progress()).includes('"invalid":500'));
  expect((await change(id, pointsAs('string'))).status).toBe(200);
  begun.goOn();
  expect((await begun.answer).status).toBe(409);
  expect(await send(id, begin + end)).toMatchObject({ received: 601, added: 601, invalid: 0 });
});
