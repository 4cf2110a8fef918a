/** Attachments given by `path`: fetched once, kept, and sent the same however often it is tried; what cannot be had says why. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { numberOf, readSamples } from '../support/exposition.ts';
import { type FileServers, openFileServers } from '../support/file-server.ts';
import { type Body, type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let servers: FileServers;
let smtp: TestSmtpServer;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  servers = opened.use(await openFileServers());
  smtp = opened.use(await openSmtpServer());
});
afterAll(() => opened.disposeAsync());

const report = Buffer.from('%PDF-1.7 quarterly\n'.repeat(300));
const stopHere = ['--import', fileURLToPath(new URL('../support/stop-here.ts', import.meta.url))];

function start(env: Env = {}, nodeArgs: readonly string[] = []): Promise<Postrider> {
  const usual = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'true',
    NODE_EXTRA_CA_CERTS: servers.certificate.file,
    // Where nobody dies, a lock that lapses on a busy machine would have a file fetched twice.
    WORKER_LOCK: '30s',
  };
  return startPostrider({ ...usual, ...env }, nodeArgs);
}

async function send({ api }: Postrider, attachments: readonly object[]): Promise<string> {
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Report', text: 'See the file' };
  const { status, body } = await api('POST', '/v1/emails', { ...email, attachments });
  expect(status).toBe(202);
  return body.id;
}

function becomes({ api }: Postrider, id: string, status: string): Promise<Body> {
  const look = async () => (await api('GET', `/v1/emails/${id}`)).body;
  const isThere = async () => {
    const body = await look();
    return body.status === status && body;
  };
  return until(`${id} to be ${status}`, isThere, look);
}

const mailsOf = (id: string) => smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`);
const kindsOf = async ({ api }: Postrider, id: string) => {
  const { data } = (await api('GET', `/v1/emails/${id}/events`)).body;
  return data.map((entry) => (entry as unknown as { kind: string }).kind);
};

it('a file is fetched once: the next attempt sends the same bytes without asking for it again', async () => {
  const tried: Buffer[] = [];
  await using greylisting = await openSmtpServer({
    onMessage({ raw }) {
      tried.push(raw);
      return tried.length <= 2 ? '451 4.7.1 Greylisted' : undefined;
    },
  });
  await using files = await servers.serve((_, response) => response.end(report));
  await using postrider = await start({ SMTP_URL: `smtp://127.0.0.1:${greylisting.port}?tls=none` });
  const id = await send(postrider, [{ path: files.url }, { filename: 'given.txt', content: 'Z2l2ZW4=' }]);
  expect(await becomes(postrider, id, 'sent')).toMatchObject({
    attempts: 3,
    attachments: [
      { filename: 'file.pdf', bytes: report.length, path: null },
      { filename: 'given.txt', bytes: 5, path: null },
    ],
  });
  const sources = tried.map((raw) => raw.toString('latin1'));
  expect(sources).toHaveLength(3);
  expect(new Set(sources).size).toBe(1);
  expect(greylisting.mails[0]?.parsed.attachments[0]?.content.equals(report)).toBe(true);
  expect(files.requests).toHaveLength(1);
});

describe('a file that cannot be fetched', () => {
  it('defers the email, which says why, and is sent once it is there', async () => {
    let isThere = false;
    await using files = await servers.serve((_, response) => {
      if (!isThere) response.statusCode = 404;
      response.end(isThere ? report : 'no such file');
    });
    await using postrider = await start({ RETRY_SCHEDULE: '1s' });
    const id = await send(postrider, [{ path: files.url }]);
    const why = `attachment file.pdf: https://127.0.0.1:${files.port}/a/file.pdf answered 404`;
    const [recipient] = (await becomes(postrider, id, 'deferred')).recipients;
    expect(recipient).toMatchObject({ status: 'deferred', reason: why, smtp: null, transport: null });
    expect((await postrider.api('GET', `/v1/emails/${id}/explain`)).body).toMatchObject({
      status: 'deferred',
      reason: 'attachment_trouble',
      summary: expect.stringMatching(/^An attachment could not be fetched\. The next try is at \d{4}-/),
      recipients: [{ email: 'b@example.org', why: expect.stringContaining(why) }],
    });
    expect(mailsOf(id)).toEqual([]);

    isThere = true;
    expect((await becomes(postrider, id, 'sent')).recipients[0]).toMatchObject({ reason: null, transport: 'default' });
    expect(mailsOf(id)[0]?.parsed.attachments[0]?.content.equals(report)).toBe(true);
    expect(postrider.output()).not.toMatch(/signature/);
  });

  it('fails the email after its tries, and nothing was sent', async () => {
    await using files = await servers.serve((_, response) => response.writeHead(503).end());
    await using postrider = await start({ RETRY_SCHEDULE: '50ms' });
    const id = await send(postrider, [{ filename: 'report.pdf', path: files.url }]);
    expect((await becomes(postrider, id, 'failed')).recipients[0]).toMatchObject({
      attempts: 5,
      reason: `attachment report.pdf: https://127.0.0.1:${files.port}/a/file.pdf answered 503`,
    });
    expect(files.requests).toHaveLength(5);
    const samples = readSamples(await (await fetch(`${postrider.url}/metrics`)).text());
    expect(numberOf(samples, 'postrider_file_fetches_total', { lane: 'transactional', outcome: 'fault' })).toBe(5);
    expect(await kindsOf(postrider, id)).toEqual(['accepted', ...Array(5).fill('fetch_fault')]);
    expect((await postrider.api('GET', `/v1/emails/${id}/explain`)).body).toMatchObject({
      reason: 'final',
      recipients: [{ status: 'failed', why: expect.stringContaining('answered 503') }],
    });
    expect(mailsOf(id)).toEqual([]);
  });

  it.each([
    ['redirects', {}, 'answered 302: redirects are refused, give the address it leads to', 1],
    ['is too large', { MAX_ATTACHMENT_BYTES: '1mb' }, 'is 1048577 bytes, and at most 1048576 bytes are left for it', 1],
    [
      'is in a private network',
      { ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'false' },
      'is in a private network: give a public host',
      0,
    ],
  ])('and %s fails the email at once', async (what, env, reason, requests) => {
    await using files = await servers.serve((_, response) => {
      if (what === 'redirects') response.writeHead(302, { location: 'https://elsewhere.example/' }).end();
      else response.setHeader('content-length', 1_048_577).end(Buffer.alloc(1_048_577));
    });
    await using postrider = await start(env);
    const id = await send(postrider, [{ path: files.url }]);
    expect((await becomes(postrider, id, 'failed')).recipients[0]).toMatchObject({
      attempts: 1,
      reason: `attachment file.pdf: https://127.0.0.1:${files.port}/a/file.pdf ${reason}`,
    });
    expect(files.requests).toHaveLength(requests);
    expect(mailsOf(id)).toEqual([]);
  });
});

it('emails whose time is over while a file is fetched, or waits for its turn, expire and say what they waited for', async () => {
  await using files = await servers.serve(() => {});
  await using postrider = await start();
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Code', text: '1234', ttl: 6 };
  const base = { ...email, attachments: [{ path: files.url }] };
  // Four of them have a place.
  const { body } = await postrider.api('POST', '/v1/emails/batch', { base, messages: Array(6).fill({}) });
  const reason = 'not delivered before it expired: it waited for a file from 127.0.0.1';
  for (const { id } of body.data) {
    expect((await becomes(postrider, id, 'expired')).recipients[0]).toMatchObject({ attempts: 0, reason });
    const explained = (await postrider.api('GET', `/v1/emails/${id}/explain`)).body;
    expect(explained).toMatchObject({ reason: 'final', recipients: [{ why: reason }] });
    expect(mailsOf(id)).toEqual([]);
  }
  await until('nothing to be fetched any more', () => files.sockets.size === 0);
  expect(postrider.output()).toMatch(/"outcome":"expired",.*"detail":"it waited for a file from 127\.0\.0\.1"/);
});

it('while its file is fetched, the lease of an email is renewed, so that no other worker takes it up', async () => {
  const gate = Promise.withResolvers<void>();
  await using files = await servers.serve(async (_, response) => {
    await gate.promise;
    response.end(report);
  });
  await using postrider = await start({ WORKER_LOCK: '9s' });
  const id = await send(postrider, [{ path: files.url }]);
  const client = redis.connect();
  const leaseEnd = async () => Number(await client.zscore(keys.again('transactional'), id));
  await until('its file to be asked for', () => files.requests.length > 0);
  const first = await leaseEnd();
  expect(first).toBeGreaterThan(0);
  await until('its lease to be renewed', async () => (await leaseEnd()) > first);
  // It was renewed before it had ended, not taken up anew.
  expect(await leaseEnd()).toBeLessThan(first + 9_000);
  gate.resolve();
  await becomes(postrider, id, 'sent');
  expect(files.requests).toHaveLength(1);
});

it('a file whose name shows no type has the type that its server says', async () => {
  await using files = await servers.serve((_, response) =>
    response.writeHead(200, { 'content-type': 'image/png; charset=x', 'content-length': report.length }).end(report),
  );
  await using postrider = await start();
  const id = await send(postrider, [
    { path: files.url, filename: 'logo' },
    { path: files.url, filename: 'logo.gif' },
    { path: files.url, filename: 'mine', content_type: 'text/plain' },
  ]);
  await becomes(postrider, id, 'sent');
  const types = mailsOf(id)[0]?.parsed.attachments.map(({ contentType }) => contentType);
  expect(types).toEqual(['image/png', 'image/gif', 'text/plain']);
});

it('a file that was there is fetched once, however often another of its email has to be asked for', async () => {
  let failures = 0;
  await using files = await servers.serve((request, response) => {
    if (request.url?.includes('late') && failures++ < 2) response.statusCode = 503;
    response.end(report);
  });
  await using postrider = await start({ RETRY_SCHEDULE: '50ms' });
  const late = `https://127.0.0.1:${files.port}/late.pdf`;
  const id = await send(postrider, [{ path: files.url }, { path: late }, { filename: 'b.txt', content: 'Z2l2ZW4=' }]);
  await becomes(postrider, id, 'sent');
  expect(files.requests.map(({ url }) => url?.split('?')[0])).toEqual([
    '/a/file.pdf',
    '/late.pdf',
    '/late.pdf',
    '/late.pdf',
  ]);
  expect(mailsOf(id)[0]?.parsed.attachments.map(({ filename }) => filename)).toEqual(['file.pdf', 'late.pdf', 'b.txt']);
});

it('all files of one email share its bytes, whether given or fetched', async () => {
  const half = 524_288;
  await using files = await servers.serve((request, response) => {
    const bytes = Number(/(\d+)\.bin/.exec(request.url ?? '')?.[1]);
    response.end(Buffer.alloc(bytes, 'x'));
  });
  const path = (bytes: number) => ({ path: `https://127.0.0.1:${files.port}/${bytes}.bin` });
  const given = { filename: 'given.bin', content: Buffer.alloc(half, 'y').toString('base64') };
  await using postrider = await start({ MAX_ATTACHMENT_BYTES: '1mb' });
  const fit = [await send(postrider, [path(half), path(half)]), await send(postrider, [path(half), given])];
  const exceed = [await send(postrider, [path(half), path(half + 1)]), await send(postrider, [given, path(half + 1)])];
  for (const id of fit) {
    await becomes(postrider, id, 'sent');
    expect(mailsOf(id)[0]?.parsed.attachments.map(({ size }) => size)).toEqual([half, half]);
  }
  for (const id of exceed) {
    const [recipient] = (await becomes(postrider, id, 'failed')).recipients;
    expect(recipient?.reason).toMatch(/524289\.bin is 524289 bytes, and at most 524288 bytes are left for it$/);
    expect(mailsOf(id)).toEqual([]);
  }
});

it.each([
  { gap: 'fetched/kept', fetches: 2 },
  { gap: 'taken/sent', fetches: 1 },
])('killed between $gap, a worker loses nothing and sends nothing twice', async ({ gap, fetches }) => {
  await using files = await servers.serve((_, response) => response.end(report));
  await using api = await start({ ROLES: 'api' });
  const id = await send(api, [{ path: files.url }]);
  {
    await using worker = await start({ ROLES: 'worker', STOP_HERE: gap, WORKER_LOCK: '1s' }, stopHere);
    await worker.printed(new RegExp(`stopped at ${gap}`));
    expect(files.requests).toHaveLength(1);
    worker.kill('SIGKILL');
    expect(await worker.ended).toBe('SIGKILL');
  }
  expect(mailsOf(id)).toEqual([]);
  await using _worker = await start({ ROLES: 'worker', WORKER_LOCK: '1s' });
  expect(await becomes(api, id, 'sent')).toMatchObject({ attempts: 1 });
  expect(await kindsOf(api, id)).toEqual(['accepted', 'answered']);
  expect(mailsOf(id).map(({ parsed }) => parsed.attachments[0]?.content.equals(report))).toEqual([true]);
  expect(files.requests).toHaveLength(fetches);
});
