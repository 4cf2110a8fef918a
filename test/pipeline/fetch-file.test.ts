/** fetch-file: an email whose file is fetched is in no job, and comes again when the file is there, when its worker died, or when there was no place. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { makeShares } from '../../src/concurrency/shares.ts';
import { missingFileOf } from '../../src/domain/attachment.ts';
import { acceptEmail } from '../../src/domain/email.ts';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import { openAttachmentClient } from '../../src/outbound/attachment-client.ts';
import { fetchFile, keepFetching } from '../../src/pipeline/fetch-file.ts';
import { openDue } from '../../src/store/due.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { openFileServers } from '../support/file-server.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { emailRequest } from '../support/requests.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const servers = opened.use(await openFileServers());
let redis: Redis;
let server: TestRedis;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  redis = server.connect();
});
afterAll(() => opened.disposeAsync());
beforeEach(async () => {
  await redis.config('SET', 'maxmemory', '0');
  await redis.flushall();
});

const lane = 'transactional' as const;
const newId = <P extends IdPrefix>(prefix: P) => makeId(prefix, Date.now(), randomBytes(10));
const leaseMs = 60_000;

async function accept(paths: readonly string[], more: object = {}) {
  const attachments = paths.map((path) => ({ path }));
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't', attachments, ...more });
  const email = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
  await openEmails(redis).create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  // As a feeder does that took it.
  await redis.zrem(keys.due(lane), email.facts.id);
  const loaded = await openEmails(redis).load(email.facts.id);
  const missing = loaded?.content && missingFileOf(loaded.content, 1_000);
  if (!loaded || !missing) throw new Error('It is not stored');
  return { email: loaded, missing };
}

function open() {
  const client = openAttachmentClient(servers.trusting);
  const stop = new AbortController();
  const work: Promise<void>[] = [];
  const settled: unknown[] = [];
  const told: string[] = [];
  const deps = {
    ...{ emails: openEmails(redis), due: openDue(redis), client, lane, inHand: new Set<string>() },
    ...{ places: makeShares(2), stopping: stop.signal, leaseMs, newId, now: Date.now },
    settle: async (_: unknown, outcome: unknown) => settled.push(outcome) > 0,
    report: ({ outcome }: { outcome: string }) => void told.push(outcome),
    inBackground: (one: Promise<void>) => void work.push(one),
    onTrouble: (_part: string, error: unknown, _fields: { readonly email: string }): void => {
      throw error;
    },
  } as const;
  return {
    deps,
    stop,
    settled,
    told,
    done: () => Promise.all(work),
    [Symbol.asyncDispose]: client[Symbol.asyncDispose],
  };
}

const dueIn = async (id: string) => ((await openDue(redis).at(lane, id)) ?? 0) - Date.now();

it('it comes again at once when the file is there, and the next file is missing then', async () => {
  await using files = await servers.serve((_, response) => response.end('x'));
  const { email, missing } = await accept([files.url, `${files.url}2`]);
  await using worker = open();
  await fetchFile(worker.deps, email, missing);
  await worker.done();
  expect(await dueIn(email.facts.id)).toBeLessThanOrEqual(0);
  const content = (await openEmails(redis).load(email.facts.id))?.content;
  expect(content && missingFileOf(content, 1_000)).toMatchObject({ place: 1, maxBytes: 999 });
  expect([worker.settled, worker.told]).toEqual([[], ['fetched']]);
});

it('it comes again after a lease, which is renewed while the file is fetched, and a second job fetches nothing', async () => {
  const gate = Promise.withResolvers<void>();
  await using files = await servers.serve(async (_, response) => {
    await gate.promise;
    response.end('x');
  });
  const { email, missing } = await accept([files.url]);
  const { id } = email.facts;
  await using worker = open();
  await fetchFile(worker.deps, email, missing);
  await fetchFile(worker.deps, email, missing);
  expect(await dueIn(id)).toBeGreaterThan(leaseMs / 2);
  // As if the lease had nearly ended.
  await redis.zadd(keys.again(lane), Date.now() + 1, id);
  await keepFetching(worker.deps);
  expect(await dueIn(id)).toBeGreaterThan(leaseMs / 2);
  expect(await openDue(redis).isForFile(lane, id, Date.now())).toBe(true);
  gate.resolve();
  await worker.done();
  await keepFetching(worker.deps);
  expect(await dueIn(id)).toBeLessThanOrEqual(0);
  expect(files.requests).toHaveLength(1);
});

it('while its host has its share of the places it comes again later, and no later than it expires', async () => {
  await using files = await servers.serve(() => {});
  const [first, second] = [await accept([files.url]), await accept([files.url])];
  const expired = await accept([files.url], { expires_at: new Date(Date.now() + 100).toISOString() });
  await using worker = open();
  for (const { email, missing } of [first, second, expired]) await fetchFile(worker.deps, email, missing);
  const [inHand, waiting, ending] = await Promise.all(
    [first, second, expired].map(({ email }) => dueIn(email.facts.id)),
  );
  expect(inHand).toBeGreaterThan(leaseMs / 2);
  expect(waiting).toBeLessThanOrEqual(1_000);
  expect(ending).toBeLessThanOrEqual(100);
  await until('the first to be asked for', () => files.requests.length === 1);
  worker.stop.abort();
  await worker.done();
  expect(await dueIn(first.email.facts.id)).toBeLessThanOrEqual(0);
  expect([worker.settled, worker.deps.inHand.size, worker.told]).toEqual([[], 0, ['put_off']]);
});

it('an answer other than the file is settled, and only that decides when the email comes again', async () => {
  await using files = await servers.serve((_, response) => response.writeHead(503).end());
  const { email, missing } = await accept([files.url]);
  await using worker = open();
  await fetchFile(worker.deps, email, missing);
  await worker.done();
  expect(worker.settled).toMatchObject([{ kind: 'fetch_fault', isFinal: false }]);
  expect(worker.told).toEqual(['fault']);
  expect(await dueIn(email.facts.id)).toBeGreaterThan(leaseMs / 2);
});

it('it comes again at once when the email changed meanwhile, so that the fault of its file was not stored', async () => {
  await using files = await servers.serve((_, response) => response.writeHead(503).end());
  const { email, missing } = await accept([files.url]);
  await using worker = open();
  await fetchFile({ ...worker.deps, settle: async () => false }, email, missing);
  await worker.done();
  expect(await dueIn(email.facts.id)).toBeLessThanOrEqual(0);
});

it('while Redis does not answer, no more files come than there are places: what has come is held until it is stored', async () => {
  const gate = Promise.withResolvers<void>();
  await using files = await servers.serve(async (_, response) => {
    await gate.promise;
    response.end('x');
  });
  const emails = await Promise.all(Array.from({ length: 12 }, (_, n) => accept([`${files.url}${n}`])));
  await using worker = open();
  const deps = { ...worker.deps, places: makeShares(64) };
  let held = 0;
  const content = (id: string) => {
    held += 1;
    return deps.emails.content(id);
  };
  const watched = { ...deps.emails, content };
  for (const { email, missing } of emails) await fetchFile({ ...deps, emails: watched }, email, missing);
  await until('its share of requests', () => files.requests.length === 4);
  server.freeze();
  gate.resolve();
  await until('what has come to be held', () => held === 4);
  // By then a fifth would have been asked for as well.
  await servers.fetchOnce(files.url);
  expect(files.requests).toHaveLength(5);
  server.thaw();
  await worker.done();
  expect(files.requests).toHaveLength(13);
  for (const { email } of emails) expect(await dueIn(email.facts.id)).toBeLessThanOrEqual(0);
});

it('an email that cannot be marked is in no hand, and its job has it again', async () => {
  await using files = await servers.serve((_, response) => response.end('x'));
  const { email, missing } = await accept([files.url]);
  await using worker = open();
  const deps = { ...worker.deps, places: makeShares(1) };
  const mark = () => Promise.reject(new Error('away'));
  await expect(fetchFile({ ...deps, due: { mark } }, email, missing)).rejects.toThrow('away');
  expect(deps.inHand.size).toBe(0);
  await fetchFile(deps, email, missing);
  await worker.done();
  expect(files.requests).toHaveLength(1);
});

/** Where trouble is told instead of thrown. */
function telling({ deps }: ReturnType<typeof open>) {
  const told: unknown[] = [];
  const onTrouble = (...[part, error, fields]: Parameters<typeof deps.onTrouble>) =>
    void told.push([part, String(error), fields]);
  return { told, deps: { ...deps, onTrouble } };
}

it('a file that cannot be stored is reported, and its email comes again soon, but not at once', async () => {
  await using files = await servers.serve((_, response) => response.end('x'));
  const { email, missing } = await accept([files.url]);
  await using worker = open();
  const { told, deps } = telling(worker);
  const keepFiles = () => Promise.reject(new Error('no'));
  await fetchFile({ ...deps, emails: { ...deps.emails, keepFiles } }, email, missing);
  await worker.done();
  expect(told).toEqual([['fetch file', 'Error: no', { email: email.facts.id }]]);
  const at = await dueIn(email.facts.id);
  expect(at).toBeGreaterThan(0);
  expect(at).toBeLessThanOrEqual(5_000);
  expect(deps.inHand.size).toBe(0);
});

it('a full Redis is reported when the file arrives, and the email comes again at the end of its lease at the latest', async () => {
  const gate = Promise.withResolvers<void>();
  await using files = await servers.serve(async (_, response) => {
    await gate.promise;
    response.end('x');
  });
  const { email, missing } = await accept([files.url]);
  await using worker = open();
  const { told, deps } = telling(worker);
  await fetchFile(deps, email, missing);
  await redis.config('SET', 'maxmemory', '1');
  gate.resolve();
  await worker.done();
  expect(told).toEqual([['fetch file', expect.stringContaining('OOM'), { email: email.facts.id }]]);
  expect(await dueIn(email.facts.id)).toBeLessThanOrEqual(leaseMs);
  await redis.config('SET', 'maxmemory', '0');
  await fetchFile(deps, email, missing);
  await worker.done();
  expect(await dueIn(email.facts.id)).toBeLessThanOrEqual(0);
});
