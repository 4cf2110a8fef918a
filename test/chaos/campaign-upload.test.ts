/** A million recipients in one upload, in each form: all of them are in it, within their room in Redis, while the API's memory stays flat. */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { expect, it } from 'vitest';
import { startPostrider, testApiKey } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';

const people = 1_000_000;
const linesAtOnce = 500;

/** Bytes of memory that a process has in use. */
function memoryOf(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

function* csv(): Generator<string> {
  yield 'email,name,plan\r\n';
  for (let from = 0; from < people; from += linesAtOnce)
    yield Array.from(
      { length: linesAtOnce },
      (_, n) => `user.${from + n}@example${n % 50}.org,User ${from + n},gold\r\n`,
    ).join('');
}

it('a million lines are taken with memory that does not grow', async () => {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await openTestRedis());
  const redis = server.connect();
  const postrider = opened.use(await startPostrider({ REDIS_URL: server.url, ROLES: 'api' }));
  const { id } = (await postrider.api('POST', '/v1/campaigns', { from: 'a@example.com', subject: 's', text: 't' }))
    .body;
  const usedBefore = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  const seen: number[] = [];
  const watching = setInterval(() => seen.push(memoryOf(postrider.pid)), 250);
  const startedAt = Date.now();
  const answer = await fetch(`${postrider.url}/v1/campaigns/${id}/recipients`, {
    method: 'POST',
    headers: { authorization: `Bearer ${testApiKey}`, 'content-type': 'text/csv', 'content-encoding': 'gzip' },
    body: Readable.toWeb(Readable.from(csv()).pipe(createGzip({ level: 1 }))) as ReadableStream<Uint8Array>,
    duplex: 'half',
  } as RequestInit);
  clearInterval(watching);
  const body = await answer.json();
  expect(body).toMatchObject({ received: people, added: people, duplicates: 0, invalid: 0 });
  const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]) - usedBefore;
  const mb = (bytes: number) => Math.round(bytes / 1024 / 1024);
  const early = Math.max(...seen.slice(0, Math.ceil(seen.length / 4)));
  console.log(
    `${Math.round((people / (Date.now() - startedAt)) * 1_000)} lines/s; ${Math.round(used / people)} bytes of Redis each; ` +
      `API at most ${mb(Math.max(...seen))} MB, ${mb(early)} MB in the first quarter`,
  );
  expect(used / people).toBeLessThan(150);
  expect(mb(Math.max(...seen))).toBeLessThan(mb(early) + 100);
  expect((await postrider.api('GET', `/v1/campaigns/${id}`)).body).toMatchObject({
    counts: { recipients: people, pending: people },
  });
  const exported = await fetch(`${postrider.url}/v1/campaigns/${id}/recipients?format=ndjson`, {
    headers: { authorization: `Bearer ${testApiKey}` },
  });
  let lines = 0;
  for await (const chunk of exported.body ?? []) for (const byte of chunk) lines += byte === 0x0a ? 1 : 0;
  expect(lines).toBe(people);
});
