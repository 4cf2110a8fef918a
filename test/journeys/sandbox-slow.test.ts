/** slow@sandbox.invalid keeps nobody waiting but itself: neither a login code, nor the campaign of somebody else. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { placeId } from '../../src/domain/id.ts';
import { addCampaign, standingOf } from '../support/campaigns.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let postrider: Postrider;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  const smtp = opened.use(await openSmtpServer());
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  const env = { REDIS_URL: server.url, SMTP_URL, PUBLIC_URL: 'http://mail.test', LOG_LEVEL: 'warn' };
  // With two in hand at a time, a few hundred that each stay there for three seconds would take minutes.
  postrider = opened.use(await startPostrider({ ...env, WORKER_CONCURRENCY: '2' }));
});
afterAll(() => opened.disposeAsync());

const slow = (n: number) => `slow+${n}@sandbox.invalid`;
const look = async (id: string) => (await postrider.api('GET', `/v1/emails/${id}`)).body;

it('a login code is sent while hundreds of slow emails wait for their answer, and those are sent as well', async () => {
  const base = { from: 'a@example.com', subject: 'Hi', text: 'Hello' };
  const messages = Array.from({ length: 300 }, (_, n) => ({ to: slow(n) }));
  const { data } = (await postrider.api('POST', '/v1/emails/batch', { base, messages })).body;
  await until('one to be sending', async () => (await look(data[0]?.id ?? '')).status === 'sending');
  const code = { ...base, to: 'b@example.org', subject: 'Your code' };
  const { id } = (await postrider.api('POST', '/v1/emails', code)).body;
  await until('the code to be sent', async () => (await look(id)).status === 'sent');
  const isSent = async ({ id }: { id: string }) => (await look(id)).status === 'sent';
  for (const email of data) await until('a slow one to be sent', () => isSent(email));
  expect((await look(data[0]?.id ?? '')).recipients).toMatchObject([{ attempts: 1, transport: 'sandbox' }]);
});

it('a campaign is completed while another has slow recipients, and that one is completed as well', async () => {
  const redis = server.connect();
  const rowOf = (address: string) => ({ address, variables: {} });
  const large = await addCampaign(redis, { recipients: Array.from({ length: 400 }, (_, n) => rowOf(slow(n))) });
  const hasBegun = async () => (await standingOf(redis, large)).marks.some((mark) => mark !== 'queued');
  await until('it to have begun', hasBegun);
  const small = await addCampaign(redis, { recipients: [rowOf('b@example.org')] });
  await until('the small one to be completed', async () => (await standingOf(redis, small)).status === 'completed');
  await until('the large one to be completed', async () => (await standingOf(redis, large)).status === 'completed');
  expect((await standingOf(redis, large)).counts).toMatchObject({ sent: 400, pending: 0 });
  const { body } = await postrider.api('GET', `/v1/emails/${placeId(large, 0)}/events`);
  expect(body).toMatchObject({
    dropped_entries: 0,
    transport_faults: 0,
    data: ['accepted', 'awaited', 'answered'].map((kind) => ({ kind })),
  });
});
