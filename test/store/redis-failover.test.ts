/** Another server takes the place of the one that is connected to: whoever holds a connection finds the new one, whatever became of the old. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { askAnew, openRedis } from '../../src/store/redis.ts';
import { openServer } from '../../src/store/server.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

it('a primary that lives on as a replica is left for the new one', async () => {
  await using old = await openTestRedis();
  await using next = await openTestRedis();
  await using relay = await openRelay(old);
  const redis = await openRedis({ url: relay.url }, 'wait');
  await redis.replicaof('127.0.0.1', '1');
  relay.leadTo(next);
  const isTaken = () =>
    redis.set('a', 1).then(
      () => true,
      () => false,
    );
  await until('a write to be taken', isTaken);
  expect(await valueIn(next, 'a')).toBe('1');
  redis.disconnect();
});

it('a connection that only reads does not learn that its server is a replica, and can still ask the new one', async () => {
  await using old = await openTestRedis();
  await using next = await openTestRedis();
  await using relay = await openRelay(old);
  let refused = 0;
  const onWriteRefused = () => {
    refused += 1;
  };
  const writing = await openRedis({ url: old.url }, 'fail_fast', { onWriteRefused });
  const reading = await openRedis({ url: relay.url }, 'fail_fast', { onWriteRefused });
  await reading.replicaof('127.0.0.1', '1');
  relay.leadTo(next);
  expect((await openServer(reading).facts()).isReplica).toBe(true);
  expect(refused).toBe(0);
  expect((await askAnew(reading, (fresh) => openServer(fresh).facts())).isReplica).toBe(false);
  for (let n = 0; n < 2; n++) await writing.set('a', 1).catch(() => {});
  expect(refused).toBe(1);
  for (const redis of [reading, writing]) redis.disconnect();
});

it('a primary that vanished without a word is left for the new one', async () => {
  await using old = await openTestRedis();
  await using next = await openTestRedis();
  await using relay = await openRelay(old);
  const redis = await openRedis({ url: relay.url }, 'wait', { silenceMs: 300 });
  relay.swallow();
  relay.leadTo(next);
  await redis.set('a', 1);
  expect(await valueIn(next, 'a')).toBe('1');
  redis.disconnect();
});

it('silence is waited for longer than a command blocks, and not for minutes', async () => {
  await using server = await openTestRedis();
  const redis = await openRedis({ url: server.url }, 'wait');
  expect(redis.options.socketTimeout).toBeGreaterThan(10_000);
  expect(redis.options.socketTimeout).toBeLessThanOrEqual(60_000);
  redis.disconnect();
});

async function valueIn(server: TestRedis, key: string): Promise<string | null> {
  const redis = await openRedis({ url: server.url }, 'fail_fast');
  const value = await redis.get(key);
  redis.disconnect();
  return value;
}

/** Stands where a name or an address of Redis does: those who are connected stay with the server that they have, and whoever comes is led to the present one. */
async function openRelay(first: TestRedis) {
  let present = first;
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((client) => {
    const upstream = connect(new URL(present.url).pathname);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [upstream, client] as const]) {
      from.on('error', () => {}).on('close', () => to.destroy());
      from.pipe(to);
    }
    client.on('close', () => pairs.delete(pair));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo(next: TestRedis): void {
      present = next;
    },
    /** What is sent from now on over the connections there are is lost, and they stay open. */
    swallow(): void {
      for (const [client, upstream] of pairs) client.unpipe(upstream).resume();
    },
    async [Symbol.asyncDispose]() {
      for (const [client] of pairs) client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
