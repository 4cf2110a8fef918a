/** What holds over the whole fleet, with workers that are processes of their own: one rate, one breaker, one probe, one event. */
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { startProcess } from '../support/processes.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let redis: Redis;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  redis = server.connect();
  await redis.config('SET', 'appendfsync', 'no');
});
afterAll(() => opened.disposeAsync());

const child = fileURLToPath(new URL('fleet-child.ts', import.meta.url));

/** What each of `count` workers came to. */
async function runFleet<T>(task: string, count: number): Promise<T[]> {
  await using workers = new AsyncDisposableStack();
  const running = Array.from({ length: count }, (_, n) =>
    workers.use(startProcess(process.execPath, [child, server.url, task, `w${n}`, String(count)])),
  );
  const lines = await Promise.all(running.map((worker) => worker.printed(/^(\{.*\})\n/m)));
  return lines.map(([, json = '']) => JSON.parse(json));
}

it('of many workers that report at once, one takes the probe, and the breaker is reported once as it opens and once as it closes', async () => {
  const done = await runFleet<{ probes: number }>('breaker', 3);
  expect(done.reduce((sum, { probes }) => sum + probes, 0)).toBe(10);
  const events = (await redis.xrange(keys.outbox, '-', '+')).map(([, [, json = '']]) => JSON.parse(json));
  const told = events.map(({ type, transport }) => `${transport} ${type}`);
  const rounds = Array.from({ length: 10 }, (_, n) => n);
  expect(told.toSorted()).toEqual(
    rounds.flatMap((n) => [`t${n} transport.degraded`, `t${n} transport.recovered`]).toSorted(),
  );
});

it('three workers together keep to one rate, at the start as later, and use it up', async () => {
  const workers = await runFleet<{ sent: number[] }>('rate', 3);
  const sent = workers.flatMap((worker) => worker.sent).toSorted((a, b) => a - b);
  // One email of each of 1,500 rounds, two milliseconds for each; 100 a second may go, 50 ms of it together.
  for (const [n, at] of sent.entries()) expect(at, `number ${n}`).toBeGreaterThanOrEqual(n * 10 - 50);
  for (const ms of [1_000, 2_000, 3_000])
    expect(sent.filter((at) => at <= ms).length, `in the first ${ms} ms`).toBeGreaterThanOrEqual(0.95 * (ms / 10));
  expect(await redis.zcard(keys.parked('ses', 'bulk'))).toBe(1_500 - sent.length);
});
