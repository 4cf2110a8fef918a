/** A log that cannot be written keeps nothing from its work: mail goes out, and a stop ends the process. */
import { expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { apiClient, main, testApiKey, testSecretKey } from '../support/postrider.ts';
import { startProcess } from '../support/processes.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

it.each([
  ['the disk is full', 'production', '/dev/full'],
  ['the disk is full', 'development', '/dev/full'],
  ['nobody reads it any more', 'production', '>(exec true)'],
])('while %s, with NODE_ENV=%s', async (_what, NODE_ENV, stdout) => {
  await using redis = await openTestRedis();
  await using smtp = await openSmtpServer();
  const PORT = String(await freePort());
  const env = {
    ...{ NODE_ENV, PORT, REDIS_URL: redis.url, POSTRIDER_API_KEY: testApiKey, SECRET_KEY: testSecretKey },
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
  };
  const command = `exec "$0" "$1" > ${stdout}`;
  await using postrider = startProcess('bash', ['-c', command, process.execPath, main], { env });
  const url = `http://127.0.0.1:${PORT}`;
  const isUp = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until('it to be ready', isUp, postrider.output);
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
  for (let i = 0; i < 3; i++) expect((await apiClient(url)('POST', '/v1/emails', email)).status).toBe(202);
  await until('the mail to arrive', () => smtp.mails.length === 3);
  expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^postrider_log_lines_dropped_total [1-9]/m);
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
});
