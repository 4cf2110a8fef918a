/** A file host that hangs: it holds up neither mail without files, nor files of other hosts, nor a stop, and a stop counts no attempt. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FileServers, openFileServers } from '../support/file-server.ts';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let servers: FileServers;
let smtp: TestSmtpServer;
let env: Env;
let api: Postrider;
let worker: Postrider;
/** Emails with a file on a host that takes connections and says nothing. */
let stuck: readonly string[];
const held = new Set<Socket>();
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  servers = opened.use(await openFileServers());
  smtp = opened.use(await openSmtpServer());
  const silent = createServer((socket) => held.add(socket.resume().on('error', () => {}))).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  opened.defer(() => {
    for (const socket of held) socket.destroy();
    silent.close();
  });
  env = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none&rate=5/s`,
    ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'true',
    NODE_EXTRA_CA_CERTS: servers.certificate.file,
    WORKER_LOCK: '30s',
    WORKER_CONCURRENCY: '10',
    LOG_LEVEL: 'warn',
  };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  worker = opened.use(await startPostrider({ ...env, ROLES: 'worker' }));
  const { port } = silent.address() as AddressInfo;
  const base = { ...mail, attachments: [{ path: `https://127.0.0.1:${port}/a.pdf` }] };
  const { body } = await api.api('POST', '/v1/emails/batch', { base, messages: Array(400).fill({}) });
  stuck = body.data.map(({ id }) => id);
  await until('its files to be asked for', () => held.size > 0);
});
afterAll(() => opened.disposeAsync());

const mail = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
const send = async (more: object) => (await api.api('POST', '/v1/emails', { ...mail, ...more })).body.id;
const isSent = async (id: string) => (await api.api('GET', `/v1/emails/${id}`)).body.status === 'sent';

/** None of the stuck ones was given up yet, so whatever went out did not wait for that. */
async function expectAllToBeStuck(): Promise<void> {
  const { body } = await api.api('GET', '/v1/emails?status=deferred');
  expect(body.data).toEqual([]);
}

it('a login code is sent while 400 emails wait for a file', async () => {
  const id = await send({ subject: 'Your code' });
  await until('it to be sent', () => isSent(id));
  await expectAllToBeStuck();
});

it('a file of another host is fetched and sent meanwhile, several of one email as well', async () => {
  await using files = await servers.serve((_, response) => response.end('a report'));
  const path = `https://localhost:${files.port}/report.pdf`;
  const id = await send({ attachments: [{ path }, { path: `${path}?2` }] });
  await until('it to be sent', () => isSent(id));
  expect(smtp.mails.find(({ raw }) => raw.includes(`<${id}@`))?.parsed.attachments).toHaveLength(2);
  await expectAllToBeStuck();
  expect(held.size).toBeLessThanOrEqual(4);
});

it('explain says that it waits for a file, and of which host', async () => {
  for (const id of [stuck[0], stuck.at(-1)]) {
    const explain = async () => (await api.api('GET', `/v1/emails/${id}/explain`)).body;
    const waits = async () => (await explain()).reason === 'waiting_for_file';
    await until('it to be explained so', waits, explain);
    expect(await explain()).toMatchObject({
      status: 'queued',
      summary: expect.stringContaining('from 127.0.0.1'),
      recipients: [{ why: 'waits for a file' }],
    });
  }
  await expectAllToBeStuck();
});

it('a stop ends what is being fetched, and counts no attempt', async () => {
  worker.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
  await until('nothing to be fetched', () => [...held].every(({ closed }) => closed));
  await expectAllToBeStuck();
  for (const id of stuck.slice(0, 50)) {
    const { status, recipients } = (await api.api('GET', `/v1/emails/${id}`)).body;
    expect([status, recipients[0]?.attempts]).toEqual(['queued', 0]);
  }
  // At once, though the lock of a worker that died would hold them for half a minute: fetch-file.test.ts shows that each is due.
  const before = held.size;
  await using _next = await startPostrider({ ...env, ROLES: 'worker' });
  await until('another worker to ask for its files', () => held.size > before);
});
