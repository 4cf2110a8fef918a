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

type Person = { readonly email: string; readonly name: string; readonly plan: string };
/** `head` stands before the first line, `before` before each other. */
type Form = { readonly head: string; readonly before: string; line(person: Person): string; readonly foot: string };

const asJson = (person: Person) => JSON.stringify(person);
const forms: Readonly<Record<string, Form>> = {
  'text/csv': {
    ...{ head: 'email,name,plan\r\n', before: '\r\n', foot: '\r\n' },
    line: ({ email, name, plan }) => `${email},${name},${plan}`,
  },
  'application/x-ndjson': { head: '', before: '\n', line: asJson, foot: '' },
  'application/json': { head: '[', before: ',', line: asJson, foot: ']' },
};

function* list({ head, before, line, foot }: Form): Generator<string> {
  for (let from = 0; from < people; from += linesAtOnce) {
    yield from === 0 ? head : before;
    const some = Array.from({ length: linesAtOnce }, (_, n) => from + n);
    yield some
      .map((n) => line({ email: `user.${n}@example${n % 50}.org`, name: `User ${n}`, plan: 'gold' }))
      .join(before);
  }
  yield foot;
}

it.each(Object.entries(forms))(
  'a million recipients as %s are taken with memory that does not grow',
  async (type, form) => {
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
      headers: { authorization: `Bearer ${testApiKey}`, 'content-type': type, 'content-encoding': 'gzip' },
      body: Readable.toWeb(Readable.from(list(form)).pipe(createGzip({ level: 1 }))) as ReadableStream<Uint8Array>,
      duplex: 'half',
    } as RequestInit);
    clearInterval(watching);
    const body = await answer.json();
    expect(body).toMatchObject({ received: people, added: people, duplicates: 0, invalid: 0 });
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]) - usedBefore;
    const mb = (bytes: number) => Math.round(bytes / 1024 / 1024);
    const early = Math.max(...seen.slice(0, Math.ceil(seen.length / 2)));
    console.log(
      `${Math.round((people / (Date.now() - startedAt)) * 1_000)} lines/s; ${Math.round(used / people)} bytes of Redis each; ` +
        `API at most ${mb(Math.max(...seen))} MB, ${mb(early)} MB in the first half`,
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
  },
);
