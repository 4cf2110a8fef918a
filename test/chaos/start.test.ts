/** A start that Redis stalls once it answered: each question of it may go without an answer for longer than a command waits. */
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { main, testKeys } from '../support/postrider.ts';
import { startProcess } from '../support/processes.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';

/** A way to Redis on which that stands still once it is asked something that holds `words`, and goes on when it is asked the same again. */
async function openStalling({ path, freeze, thaw }: TestRedis, words: string) {
  let asked = 0;
  const server = createServer((client) => {
    const redis = connect(path).on('error', () => {});
    client.on('error', () => {}).on('close', () => redis.destroy());
    redis.on('data', (data) => client.write(data)).on('close', () => client.destroy());
    client.on('data', (data) => {
      if (data.toString('latin1').toLowerCase().includes(words)) {
        asked += 1;
        if (asked === 1) freeze();
        else thaw();
      }
      redis.write(data);
    });
  }).listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  const { port } = server.address() as AddressInfo;
  return { url: `redis://127.0.0.1:${port}`, asked: () => asked, [Symbol.dispose]: () => void server.close() };
}

it.each([
  ['what it guarantees', 'appendfsync'],
  ['what time it is', 'time\r\n'],
  ['for the webhooks', ':webhooks'],
])('in production a start asks again what a Redis that stalls was asked: %s', async (_, words) => {
  await using redis = await openTestRedis();
  using stalling = await openStalling(redis, words);
  const env = {
    ...{ ...testKeys, NODE_ENV: 'production', PORT: '0', ROLES: 'api', REDIS_URL: stalling.url },
    SMTP_URL: 'smtp://127.0.0.1:9?tls=none',
  };
  await using postrider = startProcess(process.execPath, [main], { env });
  await postrider.printed(/the start waits for it/);
  await postrider.printed(/listening on/);
  expect(stalling.asked()).toBeGreaterThan(1);
});
