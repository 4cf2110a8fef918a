/** Webhooks: events per second to one endpoint, one by one and in batches, against bare POSTs; and what waits for an endpoint that is down. */
import { keys } from '../src/store/keys.ts';
import { packEvent } from '../src/store/record.ts';
import { usedMemory } from './books.ts';
import type { HooksAnswer, HooksRequest } from './hooks.ts';
import { recipient, writeLetter } from './letter.ts';
import type { PostLimitRequest } from './limit-post.ts';
import type { Bench } from './measure-limits.ts';
import { apiKey, startApi, startWorker } from './postrider.ts';
import { type Part, startPart, until } from './processes.ts';

export type Webhooks = {
  /** Events per second. */
  readonly single: number;
  readonly batched: number;
  /** POSTs of one event per second, of the same HTTP client by itself. */
  readonly bare: number;
  /** Bytes in Redis of each event that waits for an endpoint that is down, beside the event itself. */
  readonly waiting: { readonly events: number; readonly bytes: number };
};

const concurrency = 50;
const batchEvents = 100;
const chunkSize = 1_000;
/** Nobody listens there. */
const deadEndpoint = 'http://127.0.0.1:9/';

type Hooks = Part<HooksRequest, HooksAnswer>;

export async function measureWebhooks(bench: Bench): Promise<Webhooks> {
  await using hooks = startPart<HooksRequest, HooksAnswer>('./hooks.ts');
  const { port } = await hooks.ask({ kind: 'open' });
  const url = `http://127.0.0.1:${port}/`;
  const { counts } = bench;
  return {
    bare: await measureBare(bench, hooks, url),
    single: await measureOurs(bench, hooks, counts.hooks, { endpoint: url }),
    batched: await measureOurs(bench, hooks, counts.batchedHooks, {
      endpoint: url,
      batch: { max_events: batchEvents },
    }),
    waiting: await measureDead(bench),
  };
}

async function measureBare({ counts }: Bench, hooks: Hooks, url: string): Promise<number> {
  await using limit = startPart<PostLimitRequest, null>('./limit-post.ts');
  await hooks.ask({ kind: 'begin' });
  // As large as what we post.
  const body = JSON.stringify({ type: 'email.sent', data: { text: 'x'.repeat(500) } });
  await limit.ask({ url, body, count: counts.hooks, concurrency });
  return rateOf(await hooks.ask({ kind: 'wait', count: counts.hooks }));
}

async function measureOurs(bench: Bench, hooks: Hooks, count: number, webhook: object): Promise<number> {
  const { redis, sinkPort } = bench;
  await redis.client.flushall();
  await using api = await startApi(redis, sinkPort);
  await addWebhook(api.url, webhook);
  await emit(bench, await postEmail(api.url), count);
  await hooks.ask({ kind: 'begin' });
  await using _worker = await startWorker(redis, sinkPort);
  const told = await hooks.ask({ kind: 'wait', count });
  // The email's own events come as well.
  if (told.events < count) throw new Error(`${told.events} of ${count} events came`);
  return rateOf(told);
}

/** Of the second half: whoever posts is cold at first. */
function rateOf({ events, warmAt, lastAt }: HooksAnswer): number {
  return (0.5 * events * 1_000) / (lastAt - warmAt);
}

async function measureDead(bench: Bench): Promise<Webhooks['waiting']> {
  const { counts, redis, sinkPort } = bench;
  await redis.client.flushall();
  await using api = await startApi(redis, sinkPort);
  await addWebhook(api.url, { endpoint: deadEndpoint });
  await emit(bench, await postEmail(api.url), counts.deadHooks);
  const before = await usedMemory(redis.client);
  await using _worker = await startWorker(redis, sinkPort);
  const waiting = async () => {
    const posts = await redis.client.keys('pr:{0}:posts:*');
    return posts[0] === undefined ? 0 : redis.client.zcard(posts[0]);
  };
  await until('all events to wait', async () => ((await waiting()) >= counts.deadHooks ? true : null), waiting);
  return { events: await waiting(), bytes: ((await usedMemory(redis.client)) - before) / counts.deadHooks };
}

/** Events of one email, as if it had been sent so often: the worker reads its facts with each of them. */
async function emit({ redis }: Bench, emailId: string, count: number): Promise<void> {
  const smtp = { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok: queued as 4ZyXwV' };
  const event = { id: '', type: 'email.sent', emailId, to: [recipient(0)], attempt: 1, transport: 'default' } as const;
  for (let n = 0; n < count; n += chunkSize) {
    const write = redis.client.pipeline();
    for (let i = n; i < Math.min(count, n + chunkSize); i++) {
      const packed = packEvent({ ...event, at: Date.now(), sequence: i + 10, smtp, reason: null });
      write.xadd(keys.outbox, '*', 'event', packed);
    }
    await write.exec();
  }
}

async function postEmail(emailsUrl: string): Promise<string> {
  const { id } = await postJson(emailsUrl, writeLetter(recipient(0)));
  return String(id);
}

async function addWebhook(emailsUrl: string, webhook: object): Promise<void> {
  await postJson(new URL('/v1/webhooks', emailsUrl).href, { events: ['email.sent'], ...webhook });
}

async function postJson(url: string, body: object): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (answer.status >= 300) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text);
}
