/** A campaign from its draft to the end of its time: then nothing of it is left. */
import { expect, it } from 'vitest';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

it('data of a campaign is removed when it is no longer needed, and in the end all of it', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const env = { REDIS_URL: server.url, LOG_LEVEL: 'info', PUBLIC_URL: 'http://mail.test', RETENTION_RECORDS: '3s' };
  await using postrider = await startPostrider({ ...env, RETENTION_CONTENT: '3s' });
  const { api } = postrider;
  const { body } = await api('POST', '/v1/campaigns', {
    ...{ name: 'News', from: 'news@shop.test', subject: 'News', text: '{{ unsubscribe_url }}' },
  });
  const csv = { 'content-type': 'text/csv' };
  const recipients = 'email\r\ndelivered@sandbox.invalid\r\nbounced@sandbox.invalid\r\n';
  expect((await api('POST', `/v1/campaigns/${body.id}/recipients`, recipients, csv)).status).toBe(200);
  const keysOf = (part = '') => redis.keys(`*${body.id}${part}*`);
  expect(await keysOf(':addresses')).toHaveLength(2);
  await api('POST', `/v1/campaigns/${body.id}/send`);
  await until('nobody to be added any more', async () => (await keysOf(':addresses')).length === 0);
  await until('nothing to be left of it', async () => (await keysOf()).length === 0, keysOf);
  expect(await api('GET', `/v1/campaigns/${body.id}`)).toMatchObject({ status: 404 });
  expect((await api('GET', '/v1/campaigns')).body.data).toEqual([]);
  await postrider.printed(/"campaigns":1.*"retention"/);
});
