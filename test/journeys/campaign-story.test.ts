/** A campaign from its draft to its ledger over HTTP, and each of its emails found like any other: whole, with its history and its events. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ExplanationReason } from '../../src/domain/explain.ts';
import { campaignReasons } from '../../src/domain/explain-campaign.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const replies: Readonly<Record<string, string>> = { gone: '550 5.1.1 No such user', later: '451 4.2.0 Later' };

const opened = new AsyncDisposableStack();
let smtp: TestSmtpServer;
let api: Postrider;
/** Once, for what follows. */
let startWorker: () => Promise<Postrider>;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(
    await openSmtpServer({
      onRecipient: (address) => replies[address.split('@')[0] ?? ''],
    }),
  );
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  const site = { LOG_LEVEL: 'warn', PUBLIC_URL: 'http://mail.test' };
  // Who is deferred stays so for as long as it is looked at.
  const env = { ...site, REDIS_URL: redis.url, SMTP_URL, RETRY_SCHEDULE: '1h' };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  startWorker = async () => opened.use(await startPostrider({ ...env, ROLES: 'worker' }));
});
afterAll(() => opened.disposeAsync());

type Row = { readonly email_id: string; readonly email: string; readonly status: string };

async function draft(recipients: string, more: object = {}): Promise<string> {
  const content = { subject: 'News for {{ name }}', html: '<p>Dear {{ name }},</p><p>{{ unsubscribe_url }}</p>' };
  const asked = { name: 'News', from: 'News <news@shop.test>', tags: [{ name: 'kind', value: 'news' }], ...content };
  const { status, body } = await api.api('POST', '/v1/campaigns', { ...asked, ...more });
  expect(status).toBe(201);
  const csv = { 'content-type': 'text/csv' };
  const uploaded = await api.api('POST', `/v1/campaigns/${body.id}/recipients`, recipients, csv);
  expect(uploaded.status).toBe(200);
  return body.id;
}

const get = async (path: string) => (await api.api('GET', path)).body;
const rows = async (id: string) => (await get(`/v1/campaigns/${id}/recipients`)).data as unknown as Row[];
const reasonOf = async (emailId: string) =>
  ((await get(`/v1/emails/${emailId}/explain`)) as unknown as { reason: ExplanationReason }).reason;

it('explain says why an email of it waits, whatever holds its campaign up', async () => {
  const seen = new Set<ExplanationReason>();
  const look = async (id: string) => {
    const [row] = await rows(id);
    seen.add(await reasonOf(row?.email_id ?? ''));
  };
  const id = await draft('email,name\r\nada@why.test,Ada\r\n');
  await api.api('POST', `/v1/campaigns/${id}/send`, { scheduled_at: new Date(Date.now() + 3_600_000).toISOString() });
  await look(id);
  await api.api('POST', `/v1/campaigns/${id}/send`, { scheduled_at: new Date(Date.now() - 1_000).toISOString() });
  await look(id);
  await api.api('POST', '/v1/transports/default/pause');
  await look(id);
  await api.api('POST', '/v1/transports/default/resume');
  await api.api('POST', `/v1/campaigns/${id}/pause`);
  await look(id);
  await api.api('POST', `/v1/campaigns/${id}/cancel`);
  await look(id);
  expect([...seen].toSorted()).toEqual([...campaignReasons, 'transport_paused'].toSorted());
});

it('a campaign is sent, and each of its emails is found like any other', async () => {
  const scheduled_at = new Date(Date.now() + 3_600_000).toISOString();
  const id = await draft('email,name\r\nada@all.test,Ada\r\ngone@all.test,Bob\r\n', { scheduled_at });
  const [ada, bob] = (await rows(id)).map((row) => row.email_id);
  // Before it is sent there are no emails.
  expect((await api.api('GET', `/v1/emails/${ada}`)).status).toBe(404);
  await api.api('POST', `/v1/campaigns/${id}/send`, { scheduled_at: null });
  expect(await get(`/v1/emails/${ada}`)).toMatchObject({ id: ada, status: 'queued', campaign_id: id, lane: 'bulk' });
  expect(await reasonOf(ada ?? '')).toBe('campaign_running');

  await startWorker();
  await until('it to be completed', async () => (await get(`/v1/campaigns/${id}`)).status === 'completed');
  expect(await get(`/v1/campaigns/${id}`)).toMatchObject({
    counts: { recipients: 2, pending: 0, sent: 1, bounced: 1 },
  });
  expect(await get(`/v1/emails/${ada}`)).toMatchObject({
    ...{ subject: 'News for Ada', status: 'sent', last_event: 'sent', attempts: 1, to: ['Ada <ada@all.test>'] },
    ...{ tags: [{ name: 'kind', value: 'news' }], campaign_id: id },
    html: expect.stringContaining('Dear Ada'),
    recipients: [{ email: 'ada@all.test', status: 'sent', smtp: { code: 250 }, transport: 'default' }],
  });
  expect(await get(`/v1/emails/${bob}`)).toMatchObject({
    recipients: [{ status: 'bounced', smtp: { code: 550, enhanced: '5.1.1' } }],
  });
  expect(await get(`/v1/emails/${ada}/events`)).toMatchObject({
    data: [
      { kind: 'accepted' },
      { kind: 'answered', transport: 'default', events: [{ type: 'email.sent', sequence: 1 }] },
    ],
  });
  expect(await reasonOf(ada ?? '')).toBe('final');
  // The bounce put the address on the list.
  expect((await api.api('GET', '/v1/suppressions/gone@all.test')).status).toBe(200);
});

it('the event feed has each email of a campaign, under its own subject, and the campaign', async () => {
  const id = await draft('email,name\r\neve@told.test,Eve\r\n');
  await api.api('POST', `/v1/campaigns/${id}/send`);
  await until('it to be completed', async () => (await get(`/v1/campaigns/${id}`)).status === 'completed');
  const { data } = await get('/v1/events?limit=100');
  const told = (data as unknown as { type: string; data: Record<string, unknown> }[]).filter(
    (event) => event.data.campaign_id === id,
  );
  expect(told.map(({ type }) => type).toSorted()).toEqual(['campaign.completed', 'campaign.started', 'email.sent']);
  expect(told.find(({ type }) => type === 'email.sent')?.data).toMatchObject({
    ...{ subject: 'News for Eve', to: ['eve@told.test'], tags: { kind: 'news' }, campaign_id: id, attempt: 1 },
    smtp: { code: 250 },
  });
});

it('its emails are listed by its id, the newest first, page by page and by their status', async () => {
  const all = Array.from({ length: 7 }, (_, n) => `${n === 3 ? 'gone' : `r${n}`}@list.test,Reader ${n}`);
  const id = await draft(['email,name', ...all].join('\r\n'));
  const list = async (query: string) => {
    const page = await get(`/v1/emails?campaign_id=${id}&${query}`);
    return { ids: page.data.map((email) => email.id), hasMore: page.has_more };
  };
  expect(await list('')).toEqual({ ids: [], hasMore: false });
  await api.api('POST', `/v1/campaigns/${id}/send`);
  await until('it to be completed', async () => (await get(`/v1/campaigns/${id}`)).status === 'completed');
  const ids = (await rows(id)).map((row) => row.email_id).toReversed();
  expect(await list('')).toEqual({ ids, hasMore: false });
  expect(await list('limit=3')).toEqual({ ids: ids.slice(0, 3), hasMore: true });
  expect(await list(`limit=3&after=${ids[2]}`)).toEqual({ ids: ids.slice(3, 6), hasMore: true });
  expect(await list(`limit=3&after=${ids[5]}`)).toEqual({ ids: ids.slice(6), hasMore: false });
  expect(await list(`limit=3&before=${ids[4]}`)).toEqual({ ids: ids.slice(1, 4), hasMore: true });
  expect(await list('status=bounced')).toEqual({ ids: [ids[3]], hasMore: false });
  expect((await api.api('GET', `/v1/emails?campaign_id=${id}&tag=kind:news`)).status).toBe(422);
  expect((await get('/v1/emails?campaign_id=cm_0')).data).toEqual([]);
});

it('a deferred email also waits for its campaign while that is paused, and explain says so', async () => {
  const id = await draft('email,name\r\nlater@why.test,Ada\r\n');
  const [row] = await rows(id);
  await api.api('POST', `/v1/campaigns/${id}/send`);
  await until('it to be deferred', async () => (await reasonOf(row?.email_id ?? '')) === 'deferred');
  await api.api('POST', `/v1/campaigns/${id}/pause`);
  expect(await get(`/v1/emails/${row?.email_id}/explain`)).toMatchObject({
    ...{ status: 'deferred', reason: 'campaign_paused', moves_at: null },
    recipients: [{ why: 'default answered: 451 4.2.0 Later; after 1 attempt; waits for its campaign' }],
  });
  await api.api('POST', `/v1/campaigns/${id}/resume`);
  expect(await reasonOf(row?.email_id ?? '')).toBe('deferred');
});
