/** A recipient of a campaign who unsubscribes: what is told of them before and after. */
import { afterAll, expect, it } from 'vitest';
import { placeId } from '../../src/domain/id.ts';
import { addCampaign, standingOf } from '../support/campaigns.ts';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
afterAll(() => opened.disposeAsync());

it('the attempt and its time stay in the history and in the list after a reader unsubscribed', async () => {
  const server = opened.use(await openTestRedis());
  const redis = server.connect();
  const smtp = opened.use(await openSmtpServer());
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  const env = { REDIS_URL: server.url, SMTP_URL, PUBLIC_URL: 'https://mail.shop.example', LOG_LEVEL: 'warn' };
  const { api, url } = opened.use(await startPostrider(env));
  const id = await addCampaign(redis, { recipients: [{ address: 'ada@reader.test', variables: {} }] });
  await until('the campaign to be completed', async () => (await standingOf(redis, id)).status === 'completed');
  const stepsNow = async () => (await api('GET', `/v1/emails/${placeId(id, 0)}/events`)).body.data;
  const listed = async () => (await api('GET', `/v1/campaigns/${id}/recipients`)).body.data;
  const [steps, recipients] = [await stepsNow(), await listed()];
  expect(recipients).toMatchObject([{ status: 'sent', at: expect.any(String) }]);

  const header = smtp.mails[0]?.parsed.headerLines.find(({ key }) => key === 'list-unsubscribe')?.line ?? '';
  const path = /<https:\/\/mail\.shop\.example(\/u\/[^>]+)>/.exec(header.replace(/\r\n\s/g, ''))?.[1];
  expect((await fetch(`${url}${path}`, { method: 'POST' })).status).toBe(200);
  expect(await stepsNow()).toMatchObject([...steps, { kind: 'unsubscribed' }]);
  expect(await listed()).toEqual(recipients);
});
