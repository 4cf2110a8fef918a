/** Connections: what counts as trouble of Redis, in the words of each version, and that a wait can be ended at any time. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { openBell } from '../../src/store/bell.ts';
import { isRedisTrouble, openRedis, placeOf, RedisAwayError, redisTroubleOf } from '../../src/store/redis.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

it.each([
  "OOM command not allowed when used memory > 'maxmemory'.",
  "OOM command not allowed when used memory > 'maxmemory'. script: 0a1b, on @user_script:3.",
  "ERR Error running script (call to f_0a1b): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'.",
  "READONLY You can't write against a read only replica.",
  "ERR Error running script (call to f_0a1b): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
  'LOADING Redis is loading the dataset in memory',
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'NOREPLICAS Not enough good replicas to write.',
  'CLUSTERDOWN The cluster is down',
  'NOAUTH Authentication required.',
  'WRONGPASS invalid username-password pair or user is disabled.',
  "NOPERM User postrider has no permissions to run the 'set' command",
  'EXECABORT Transaction discarded because of previous errors.',
  'Command timed out',
  'Connection is closed.',
  "Stream isn't writeable and enableOfflineQueue options is false",
  'connect ECONNREFUSED 127.0.0.1:6379',
])('%s: trouble of Redis', (message) => {
  expect(isRedisTrouble(new Error(message))).toBe(true);
});

it('of one kind, whichever script met it, in the words of each version', () => {
  const full = [
    "OOM command not allowed when used memory > 'maxmemory'. script: 0a1b, on @user_script:3.",
    "ERR Error running script (call to f_2c3d): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'.",
  ];
  expect(full.map((message) => redisTroubleOf(new Error(message)))).toEqual(['OOM', 'OOM']);
});

it.each([
  'WRONGTYPE Operation against a key holding the wrong kind of value',
  'NOSCRIPT No matching script. Please use EVAL.',
  "ERR unknown command 'FLY'",
  'ERR Error running script (call to f_0a1b): @user_script:3: attempt to index a nil value',
  'Cannot read properties of undefined',
])('%s: a bug', (message) => {
  expect(isRedisTrouble(new Error(message))).toBe(false);
});

it.each([
  ['redis://u:hunter2@h:6380/2', 'redis://h:6380/2'],
  ['redis://:hunt@er2@h', 'redis://h'],
  ['rediss://h?password=hunter2#hunter2', 'rediss://h'],
  ['unix://u:hunter2@localhost/run/redis.sock?db=2', 'unix://localhost/run/redis.sock'],
  ['unix:///run/redis.sock?password=hunter2', 'unix:///run/redis.sock'],
])('of %s only the place is reported', (url, place) => {
  expect(placeOf(url)).toBe(place);
});

it.each<[what: string, scheme: string, answer: (socket: Socket) => void]>([
  ['closes at once', 'redis', (socket) => socket.end()],
  ['closes before TLS begins, as what stands before one that is away', 'rediss', (socket) => socket.end()],
  ['says nothing', 'redis', () => {}],
])('one that %s is away, and may come', async (_, scheme, answer) => {
  const server = createServer((socket) => answer(socket.on('error', () => {}))).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(openRedis({ url: `${scheme}://127.0.0.1:${port}` }, 'fail_fast')).rejects.toBeInstanceOf(RedisAwayError);
});

it('a CA for TLS does not make a plain connection use TLS', async () => {
  const said = Promise.withResolvers<string>();
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', (data) => {
        said.resolve(data.toString());
        socket.destroy();
      });
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const place = { url: `redis://127.0.0.1:${port}`, ca: 'any' };
  await expect(openRedis(place, 'fail_fast')).rejects.toThrow(RedisAwayError);
  expect(await said.promise).toMatch(/^\*/);
});

it('a database that the server does not have is no other one', async () => {
  await using server = await openTestRedis({ databases: '4' });
  await expect(openRedis({ url: `${server.url}?db=4` }, 'fail_fast')).rejects.toThrow(
    /has no such database: ERR DB index is out of range/,
  );
  const redis = await openRedis({ url: `${server.url}?db=3` }, 'fail_fast');
  expect(await redis.client('INFO')).toContain(' db=3 ');
  redis.disconnect();
});

it('a wait ends when stopped, also while Redis is away and the connection is being made again', async () => {
  await using server = await openTestRedis();
  const blocking = await openRedis({ url: server.url }, 'wait');
  await using bell = openBell(blocking);
  await server.stop();
  await until('the connection to be made anew', () => blocking.status === 'reconnecting');
  const stop = new AbortController();
  const heard = bell.heard(1_000, stop.signal);
  stop.abort();
  await heard;
  await bell.heard(1_000, stop.signal);
});

it.each([0, 1])(
  'a wait of %d ms is asked for as one that ends: Redis before 7.0.8 takes a millisecond for ever',
  async (waitMs) => {
    await using server = await openTestRedis();
    const monitor = await server.connect().monitor();
    const waits: string[] = [];
    monitor.on('monitor', (_at: string, [name = '', ...args]: string[]) => {
      if (name.toLowerCase() === 'blpop') waits.push(args.at(-1) ?? '');
    });
    await using bell = openBell(await openRedis({ url: server.url }, 'wait'));
    await bell.heard(waitMs, new AbortController().signal);
    await until('the command to be seen', () => waits.length > 0);
    expect(Number(waits[0])).toBeGreaterThanOrEqual(0.002);
    monitor.disconnect();
  },
);
