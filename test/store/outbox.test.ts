/** Consumers of the outbox: who is forgotten, and that nothing goes with them. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { openOutbox, outboxGroup } from '../../src/store/outbox.ts';
import type { TestRedis } from '../support/redis.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let redis: Redis;
useTestRedis((own) => {
  server = own;
  redis = server.connect();
});

const never = new AbortController().signal;
const openWorker = (name: string, forgetAfterMs?: number) =>
  openOutbox(redis, server.connect(), name, 60_000, forgetAfterMs);
const add = () => redis.xadd(keys.outbox, '*', 'event', '{}');
const names = async () => {
  const consumers = (await redis.xinfo('CONSUMERS', keys.outbox, outboxGroup)) as unknown[][];
  return consumers.map((fields) => fields[fields.indexOf('name') + 1]);
};

it('a worker that starts removes consumers that were not seen for long and have nothing in hand', async () => {
  const [idle, busy] = [await openWorker('idle'), await openWorker('busy')];
  for (const worker of [idle, busy]) {
    await add();
    const entries = await worker.next(10, never);
    if (worker === idle) await worker.acknowledge(entries);
  }
  await openWorker('patient');
  expect(await names()).toEqual(['busy', 'idle']);
  await openWorker('impatient', 0);
  expect(await names()).toEqual(['busy']);
});

it('a worker that stops is forgotten, unless it has something in hand', async () => {
  const [idle, busy] = [await openWorker('idle'), await openWorker('busy')];
  await add();
  await idle.acknowledge(await idle.next(10, never));
  await add();
  await busy.next(10, never);
  for (const worker of [idle, busy]) await worker[Symbol.asyncDispose]();
  expect(await names()).toEqual(['busy']);
});

it('workers that start lose nothing of what a living one reads meanwhile, though it looks idle', async () => {
  const living = await openWorker('living');
  const adding = server.connect();
  let [told, lost] = [0, 0];
  for (let round = 0; round < 200; round++) {
    const reading = living.next(10, never);
    const starting = openOutbox(redis, server.connect(), randomBytes(4).toString('hex'), 60_000, 0);
    await redis.ping();
    await adding.xadd(keys.outbox, '*', 'event', '{}');
    const entries = await reading;
    await starting;
    const [places, count] = [entries.map(({ place }) => place), entries.length];
    lost += count - (await redis.xack(keys.outbox, outboxGroup, ...places));
    told += count;
  }
  expect({ told, lost }).toEqual({ told: 200, lost: 0 });
});
