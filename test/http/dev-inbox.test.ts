/** The dev inbox for scripts: JSON, files, the live stream, and who may look. */
import { connect } from 'node:net';
import type { Redis } from 'ioredis';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { type ApiClient, apiClient, type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let direct: Redis;
let postrider: Postrider;
let open: ApiClient;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  direct = redis.connect();
  postrider = opened.use(await startPostrider({ REDIS_URL: redis.url }));
  open = apiClient(postrider.url, null);
});
afterAll(() => opened.disposeAsync());
beforeEach(async () => {
  expect((await open('DELETE', '/dev/inbox.json')).status).toBe(204);
});

type Mail = { id: string; email_id: string; attachments: { filename: string }[]; headers: { name: string }[] };

const plain = { from: 'a@example.com', to: 'b@example.org', subject: 'Hello', text: 'It works.' };

async function capture(email: object): Promise<Mail> {
  const { body } = await postrider.api('POST', '/v1/emails', { ...plain, ...email });
  return until('the mail to be captured', async () => (await list(`?email_id=${body.id}`))[0]);
}

async function list(query = ''): Promise<Mail[]> {
  return (await open('GET', `/dev/inbox.json${query}`)).body.data as unknown as Mail[];
}

const subscribers = async () => Number((await direct.pubsub('NUMSUB', keys.inboxChannel))[1]);

describe('captured mail as JSON', () => {
  it('is listed newest first, and shows who it was really for', async () => {
    const first = await capture({ to: ['Grace <grace@example.org>', 'linus@exämple.org'], bcc: 'hidden@example.org' });
    const second = await capture({ subject: 'Grüße 👋' });
    const listed = await list();
    expect(listed).toEqual([second, first]);
    expect(second).toMatchObject({ subject: 'Grüße 👋', attachments: [] });
    expect(first).toEqual({
      id: expect.stringMatching(/^mi_/),
      email_id: expect.stringMatching(/^em_/),
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      envelope: {
        from: 'a@example.com',
        to: ['grace@example.org', 'linus@xn--exmple-cua.org', 'hidden@example.org'],
      },
      from: 'a@example.com',
      to: ['Grace <grace@example.org>', 'linus@xn--exmple-cua.org'],
      subject: 'Hello',
      attachments: [],
      size: expect.any(Number),
    });
  });

  it('can be asked for by recipient, hidden and international ones included; an unknown filter is refused', async () => {
    const wanted = await capture({ to: 'J\u030can@exämple.org', bcc: 'hidden@example.org' });
    await capture({});
    expect(await list('?to=Hidden@Example.org')).toEqual([wanted]);
    for (const written of ['J\u030can@exämple.org', '\u01f0an@exa\u0308mple.org'])
      expect(await list(`?to=${encodeURIComponent(written)}`)).toEqual([wanted]);
    expect(await list('?to=nobody@example.org')).toEqual([]);
    expect((await open('GET', '/dev/inbox.json?too=b@example.org')).status).toBe(422);
  });

  it('is shown whole, with its parts decoded', async () => {
    const attachments = [{ filename: 'Übersicht – 2026.txt', content: Buffer.from('zeile\n').toString('base64') }];
    const { id } = await capture({
      html: '<p>Wörld</p>',
      cc: 'c@example.org',
      headers: { 'X-Season': 'Früh ling' },
      attachments,
    });
    const { body } = await open('GET', `/dev/inbox/${id}.json`);
    expect(body).toMatchObject({
      object: 'mail',
      id,
      subject: 'Hello',
      cc: ['c@example.org'],
      reply_to: [],
      html: '<p>Wörld</p>',
      text: 'It works.',
    });
    const { headers, attachments: files } = body as unknown as Mail;
    expect(headers).toContainEqual({ name: 'X-Season', value: 'Früh ling' });
    expect(files).toEqual([{ index: 0, filename: 'Übersicht – 2026.txt', content_type: 'text/plain', size: 6 }]);
  });

  it('is gone when the inbox is emptied', async () => {
    const { id } = await capture({});
    await open('DELETE', '/dev/inbox.json');
    expect(await list()).toEqual([]);
    for (const path of [`${id}.json`, `${id}/raw`, `${id}/html`, `${id}/attachments/0`])
      expect(await open('GET', `/dev/inbox/${path}`), path).toMatchObject({ status: 404, body: { name: 'not_found' } });
    expect(await direct.exists(keys.inbox, keys.inboxEntries, keys.inboxRaw, keys.inboxBytes)).toBe(0);
  });
});

describe('files', () => {
  it('are downloads of no type, under a name that is no path, header or disguise', async () => {
    const content = Buffer.from([0, 1, 2, 255, 13, 10]).toString('base64');
    const names = [
      'a"; x="<img src=x onerror=alert(1)>.js',
      '../../etc/pässwd',
      'invoice\u202efdp.exe',
      'Grüße 100%.txt',
    ];
    const { id } = await capture({
      attachments: names.map((filename) => ({ filename, content, content_type: 'text/javascript' })),
    });
    const answers = await Promise.all(
      names.map((_, index) => request(`${postrider.url}/dev/inbox/${id}/attachments/${index}`)),
    );
    expect(answers.map(({ headers }) => headers['content-disposition'])).toEqual([
      `attachment; filename="a_; x=_<img src=x onerror=alert(1)>.js"; filename*=UTF-8''a_%3B%20x%3D_%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.js`,
      `attachment; filename=".._.._etc_p_sswd"; filename*=UTF-8''.._.._etc_p%C3%A4sswd`,
      `attachment; filename="invoice_fdp.exe"; filename*=UTF-8''invoice_fdp.exe`,
      `attachment; filename="Gr__e 100_.txt"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20100%25.txt`,
    ]);
    for (const { headers, body } of answers) {
      expect(headers).toMatchObject({
        'content-type': 'application/octet-stream',
        'x-content-type-options': 'nosniff',
      });
      expect(Buffer.from(await body.arrayBuffer()).toString('base64')).toBe(content);
    }
    expect((await open('GET', `/dev/inbox/${id}/attachments/4`)).status).toBe(404);
  });

  it('show the message as it would have gone over the wire', async () => {
    const { id, email_id } = await capture({});
    const { headers, body } = await open('GET', `/dev/inbox/${id}/raw`);
    expect(headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' });
    expect(headers['content-disposition']).toContain(`inline; filename="${id}.eml"`);
    expect(body).toContain(`Message-ID: <${email_id}@example.com>\r\n`);
  });
});

describe('the live stream', () => {
  it('reports each mail and an emptied inbox, to any number of readers over one subscription', async () => {
    const readers = await Promise.all([readEvents(), readEvents()]);
    expect(await subscribers()).toBe(1);
    const { id } = await capture({});
    await open('DELETE', '/dev/inbox.json');
    for (const reader of readers) {
      await until('both events', () => reader.text().includes('event: reset'));
      expect(reader.text()).toContain(`event: mail\ndata: {"id":"${id}"}\n\nevent: reset\n`);
    }
    readers[0]?.leave();
    expect(await subscribers()).toBe(1);
    readers[1]?.leave();
    await until('the subscription to end with its last reader', async () => (await subscribers()) === 0);
  });

  it('says that mail may have been missed once its connection to Redis is back, and goes on', async () => {
    const reader = await readEvents();
    await direct.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until('the reset', () => reader.text().includes('event: reset'));
    const { id } = await capture({});
    await until('the mail', () => reader.text().includes(id));
    reader.leave();
    await until('the subscription to end', async () => (await subscribers()) === 0);
  });

  it('drops a reader that does not read', async () => {
    const socket = connect(Number(new URL(postrider.url).port), '127.0.0.1');
    socket.on('error', () => {}).pause();
    socket.write('GET /dev/inbox/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('the reader to be there', async () => (await subscribers()) === 1);
    const large = 'x'.repeat(100_000);
    await until('the reader to be dropped', async () => (await direct.publish(keys.inboxChannel, large)) === 0);
    socket.destroy();
  });

  it('ends when Postrider stops, and does not hold it up', async () => {
    await using own = await startPostrider({ REDIS_URL: redis.url, SHUTDOWN_TIMEOUT: '60s' });
    const reader = await readEvents(own.url);
    own.kill('SIGTERM');
    expect(await own.ended).toBe(0);
    await until('the stream to end', () => reader.hasEnded());
  });
});

it('HEAD of the live stream is answered at once', async () => {
  const { status, headers } = await open('HEAD', '/dev/inbox/events');
  expect({ status, type: headers['content-type'] }).toEqual({ status: 200, type: 'text/event-stream' });
});

async function readEvents(url = postrider.url) {
  const { statusCode, headers, body } = await request(`${url}/dev/inbox/events`);
  expect({ statusCode, type: headers['content-type'] }).toEqual({ statusCode: 200, type: 'text/event-stream' });
  let text = '';
  body.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  body.on('error', () => {});
  return { text: () => text, hasEnded: () => body.closed, leave: () => body.destroy() };
}

describe('who may look', () => {
  it.each(['evil.example', 'evil.example:8080', '127.0.0.1.evil.example', 'localhost.evil.example'])(
    'not a page that comes as %j',
    async (host) => {
      const answer = await open('GET', '/dev/inbox.json', undefined, { host });
      expect(answer.status).toBe(404);
    },
  );
  it.each([
    'localhost',
    'postrider.localhost:1',
    '127.0.0.1:9',
    '[::1]:8080',
    '192.168.1.7',
    'postrider:8080',
    'mail.default.svc.cluster.local',
  ])('a request with the host %s', async (host) => {
    expect((await open('GET', '/dev/inbox.json', undefined, { host })).status).toBe(200);
  });
  it.each(['cross-site', 'same-site'])('no %s request may empty it', async (site) => {
    const { id } = await capture({});
    expect((await open('DELETE', '/dev/inbox.json', undefined, { 'sec-fetch-site': site })).status).toBe(404);
    expect((await list())[0]?.id).toBe(id);
    expect((await open('DELETE', '/dev/inbox.json', undefined, { 'sec-fetch-site': 'same-origin' })).status).toBe(204);
  });
  it('the rest of the server answers under any name', async () => {
    expect((await open('GET', '/livez', undefined, { host: 'mail.example.com' })).status).toBe(200);
  });
});

it('the page may run only its own script, and cannot be framed', async () => {
  const { headers } = await open('GET', '/dev/inbox');
  expect(headers).toMatchObject({ 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' });
  expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'; style-src 'self';");
  expect((await open('GET', '/dev/inbox/')).headers.location).toBe('../inbox');
});

it.each<[string, Env]>([
  ['in production', { NODE_ENV: 'production', ROLES: 'api', SMTP_URL: 'smtp://127.0.0.1:9?tls=none' }],
  ['with a transport', { SMTP_URL: 'smtp://127.0.0.1:9?tls=none' }],
])('is absent %s', async (_, env) => {
  await using own = await startPostrider({ REDIS_URL: redis.url, ...env });
  for (const path of ['', '.json', '/events', '/page.js', '/mi_1.json', '/mi_1/raw'])
    expect((await own.api('GET', `/dev/inbox${path}`)).status, path).toBe(404);
});
