/** What docs/redis.md says that keys take is what Redis counts of them: from version to version it differs, so half as much and twice as much pass. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { keys } from '../src/store/keys.ts';
import { readDocument } from './support/documents.ts';
import { startPostrider } from './support/postrider.ts';
import { openTestRedis } from './support/redis.ts';
import { until } from './support/until.ts';

const docs = readDocument('docs/redis.md');
/** More entries than any version packs together, which would take less. */
const many = 600;
const email = {
  ...{ from: 'ada@example.com', to: 'delivered@sandbox.invalid', subject: 'Hello', text: 'It works.' },
  tags: [{ name: 'category', value: 'receipt' }],
};

type Row = { readonly name: string; readonly form: RegExp; readonly stated: number; readonly isOfEntries: boolean };

/** The rows that say one number, of a key or of each of its entries. */
function rowsOf(): Row[] {
  const rows = docs.matchAll(/^\| `(pr:[^`]+)` \|[^|]*\|[^|]*\| ([\d,]+)(?: (each)\b| for a line|(?= \|))/gm);
  return [...rows].map(([, name = '', stated = '', each]) => ({
    name: name.slice('pr:{0}:'.length),
    form: new RegExp(`^${name.split(/<\w+>/).map(RegExp.escape).join('[^:]+')}$`),
    stated: Number(stated.replaceAll(',', '')),
    isOfEntries: each !== undefined,
  }));
}

async function entriesOf(redis: Redis, key: string): Promise<number> {
  const type = await redis.type(key);
  if (type === 'hash') return await redis.hlen(key);
  if (type === 'zset') return await redis.zcard(key);
  if (type === 'stream') return await redis.xlen(key);
  return type === 'list' ? await redis.llen(key) : 1;
}

/** Bytes of a key, or of an entry of it, on the average; null where none has entries enough. */
async function bytesOf(redis: Redis, names: readonly string[], { isOfEntries }: Row): Promise<number | null> {
  let bytes = 0;
  let count = 0;
  for (const name of names) {
    const entries = isOfEntries ? await entriesOf(redis, name) : 1;
    if (isOfEntries && entries < many) continue;
    bytes += (await redis.memory('USAGE', name, 'SAMPLES', 0)) ?? 0;
    count += entries;
  }
  return count === 0 ? null : bytes / count;
}

it('keys take what docs/redis.md says', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  await using postrider = await startPostrider({ REDIS_URL: server.url });
  const batch = Array.from({ length: many }, () => email);
  await postrider.api('POST', '/v1/emails/batch', batch);
  await until('all emails to end', async () => (await redis.llen(keys.ended)) === many);
  const later = { ...email, scheduled_at: 'in 1 day' };
  await postrider.api('POST', '/v1/emails/batch', { base: later, messages: batch.map(() => ({})) });
  await postrider.api('POST', '/v1/emails', later, { 'idempotency-key': 'receipt-1' });
  await postrider.api('POST', '/v1/api-keys', { name: 'shop' });
  const addresses = batch.map((_, place) => JSON.stringify({ email: `reader-${place}@example.com` }));
  const ndjson = { 'content-type': 'application/x-ndjson' };
  await postrider.api('POST', '/v1/suppressions/import', addresses.join('\n'), ndjson);

  const names = await redis.keys('*');
  const taken = new Map<string, number>();
  for (const row of rowsOf()) {
    const ofRow = names.filter((name) => row.form.test(name));
    const bytes = await bytesOf(redis, ofRow, row);
    if (bytes === null) continue;
    taken.set(row.name, bytes);
    expectAbout(bytes, row.stated, row.name);
  }
  expect([...taken.keys()]).toEqual(
    expect.arrayContaining([
      ...['email:<id>', 'content:<id>', 'emails', 'ended', 'idem:<scope>', 'due:<lane>', 'outbox'],
      ...['suppressions', 'suppression-ids', 'api-key:<hash>'],
    ]),
  );
  const [each = 0, found = 0, ended = 0] = ['email:<id>', 'emails', 'ended'].map((name) => taken.get(name));
  expectAbout(each + 5 * found + ended, statedOf('an email that ended, from then'), 'an email that ended');
  expectAbout(taken.get('outbox') ?? 0, statedOf('an event'), 'an event');
});

/** What the table of sizes says of a thing. */
function statedOf(thing: string): number {
  const [, stated = ''] = new RegExp(`^\\| ${thing}[^|]*\\| ([\\d,]+)`, 'm').exec(docs) ?? [];
  return Number(stated.replaceAll(',', ''));
}

function expectAbout(bytes: number, stated: number, what: string): void {
  expect(bytes, what).toBeGreaterThan(stated / 2);
  expect(bytes, what).toBeLessThan(stated * 2);
}
