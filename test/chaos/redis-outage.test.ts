/** Redis killed between each pair of steps of the line and back a moment later: the worker goes on by itself, and nothing is lost or repeated. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FileServer, openFileServers } from '../support/file-server.ts';
import { type ApiClient, type Env, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const stopHere = ['--import', fileURLToPath(new URL('../support/stop-here.ts', import.meta.url))];

const file = Buffer.from('%PDF-1.7 quarterly\n'.repeat(300));

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let smtp: TestSmtpServer;
let receiver: Receiver;
let files: FileServer;
let isMissing = false;
let api: ApiClient;
let secret: string;
let env: Env;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  receiver = opened.use(await openReceiver());
  const servers = opened.use(await openFileServers());
  files = opened.use(
    await servers.serve((_, response) => {
      response.statusCode = isMissing ? 404 : 200;
      response.end(file);
    }),
  );
  env = {
    ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'true',
    NODE_EXTRA_CA_CERTS: servers.certificate.file,
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    // Longer than the outage: what is under way stays with the worker that has it.
    WORKER_LOCK: '10s',
  };
  ({ api } = opened.use(await startPostrider({ ...env, ROLES: 'api' })));
  const webhook = await api('POST', '/v1/webhooks', {
    endpoint: receiver.url,
    events: ['email.sent', 'email.outcome_unknown'],
  });
  secret = webhook.body.signing_secret;
});
afterAll(() => opened.disposeAsync());

it.each([
  'stored/taken',
  'taken/queued',
  'queued/done',
  'fetched/kept',
  'taken/sent',
  'sent/settled',
  'settled/finished',
  'settled/notified',
  'noticed/notified',
  'notified/posted',
  'posted/recorded',
])('between %s', async (gap) => {
  const attachments = [{ path: files.url }];
  const { id } = (
    await api('POST', '/v1/emails', {
      from: 'a@example.com',
      to: 'b@example.org',
      subject: gap,
      text: 'Hi',
      attachments,
    })
  ).body;
  const fetches = files.requests.length;
  await using worker = await startPostrider({ ...env, ROLES: 'worker', STOP_HERE: gap }, stopHere);
  await worker.printed(new RegExp(`stopped at ${gap}`));
  await redis.stop();
  worker.kill('SIGUSR2');
  await worker.printed(new RegExp(`went on from ${gap}`));
  expect((await api('GET', `/v1/emails/${id}`)).status).toBe(503);
  await redis.start();

  const told = () => receiver.eventsOf(id, secret).map(({ type }) => type);
  await until(
    'it to be sent and told',
    () => told().length > 0,
    () => worker.output(),
  );
  const { status, body } = await until('the API to be back', async () => {
    const answer = await api('GET', `/v1/emails/${id}`);
    return answer.status !== 503 && answer;
  });
  expect([status, body.status, told()]).toEqual([200, 'sent', ['email.sent']]);
  const mails = smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`);
  expect(mails.map(({ parsed }) => parsed.attachments[0]?.content.equals(file))).toEqual([true]);
  expect(files.requests.length - fetches).toBe(1);
  worker.kill('SIGTERM');
  expect(await worker.ended, worker.output()).toBe(0);
});

it('between missed/settled: the file that was not there counts as one attempt, and is fetched later', async () => {
  isMissing = true;
  const attachments = [{ path: files.url }];
  const { id } = (
    await api('POST', '/v1/emails', {
      from: 'a@example.com',
      to: 'b@example.org',
      subject: 's',
      text: 'Hi',
      attachments,
    })
  ).body;
  const gap = 'missed/settled';
  const soon = { RETRY_SCHEDULE: '100ms' };
  await using worker = await startPostrider({ ...env, ...soon, ROLES: 'worker', STOP_HERE: gap }, stopHere);
  await worker.printed(new RegExp(`stopped at ${gap}`));
  isMissing = false;
  await redis.stop();
  worker.kill('SIGUSR2');
  await worker.printed(new RegExp(`went on from ${gap}`));
  await redis.start();
  const look = async () => (await api('GET', `/v1/emails/${id}`)).body;
  const isSent = async () => {
    const body = await look();
    return body.status === 'sent' && body;
  };
  expect(await until('it to be sent', isSent, look)).toMatchObject({ attempts: 2 });
  expect(smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`)).toHaveLength(1);
  worker.kill('SIGTERM');
  expect(await worker.ended, worker.output()).toBe(0);
});
