/** The log of a production service: JSON alone, one line for each unit of work, nothing in it that is nobody's business. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Postrider, startPostrider, testApiKey, testSecretKey } from '../support/postrider.ts';
import { openReceiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

type Line = Readonly<Record<string, unknown>> & { readonly msg: string };

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let api: Postrider;
let worker: Postrider;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  const onRecipient = (to: string) => {
    if (to.startsWith('relayed')) return `554 5.7.1 <${to}>: Relay access denied`;
    if (to.startsWith('nobody')) return `550 5.1.1 <${to}>: no such user; ask postmaster@secret-host.example`;
    return to.startsWith('later') ? `450 4.2.0 Greylisted ${to}` : undefined;
  };
  const smtp = opened.use(await openSmtpServer({ onRecipient }));
  const relay = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  const env = { REDIS_URL: redis.url, NODE_ENV: 'production', WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true' };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api', SMTP_URL: relay }));
  worker = opened.use(await startPostrider({ ...env, ROLES: 'worker', SMTP_URL: relay, WORKER_CONCURRENCY: '10' }));
}, 60_000);
afterAll(() => opened.disposeAsync());

function linesOf(process: Postrider): Line[] {
  return process
    .output()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

const email = (to: string) => ({ from: 'ann@x.example', to, subject: 'Top-secret subject', text: 'Top-secret text' });
const named = (lines: readonly Line[], msg: string) => lines.filter((line) => line.msg === msg);

it('a transport with as many connections as a lane has places is named at the start', () => {
  const said = linesOf(worker).filter(({ msg }) => msg.includes('WORKER_CONCURRENCY'));
  expect(said).toMatchObject([{ level: 40, transports: ['default'], worker_concurrency: 10 }]);
});

it('of a file that cannot be fetched, a log line has only the host, and the answer all but its query', async () => {
  const attachments = [{ filename: 'Secret plan.pdf', path: 'https://127.0.0.1:1/secret/plan.pdf?key=secret' }];
  const { id } = (await api.api('POST', '/v1/emails', { ...email('bob@y.example'), attachments })).body;
  const lineOf = (msg: string) => named(linesOf(worker), msg).find((each) => each.email_id === id);
  const line = await until('it to be told', () => lineOf('attempt'));
  expect(lineOf('file')).toMatchObject({ lane: 'transactional', host: '127.0.0.1', outcome: 'fault' });
  const what = 'is in a private network: give a public host';
  expect(line).toMatchObject({ outcome: 'fetch_fault', detail: `attachment: https://127.0.0.1:1 ${what}` });
  const { recipients } = (await api.api('GET', `/v1/emails/${id}`)).body;
  const reason = `attachment Secret plan.pdf: https://127.0.0.1:1/secret/plan.pdf ${what}`;
  expect(recipients).toMatchObject([{ status: 'failed', reason }]);
  expect(worker.output()).not.toMatch(/secret/i);
});

it('each unit of work is one line of JSON, and a request leads to the outcomes of its emails', async () => {
  await using receiver = await openReceiver((n) => (n === 1 ? 503 : 204));
  const hook = { endpoint: `${receiver.url}?token=top-secret`, events: ['email.sent', 'email.bounced'] };
  const { signing_secret: secret } = (await api.api('POST', '/v1/webhooks', hook)).body;
  const { token } = (await api.api('POST', '/v1/api-keys', { name: 'Top-secret name' })).body;
  const { id } = (await api.api('POST', '/v1/emails', email('bob@y.example'))).body;
  const batch = ['Top Secret <nobody@y.example>', 'later@y.example', 'slow@sandbox.invalid', 'relayed@y.example'].map(
    email,
  );
  const { data } = (await api.api('POST', '/v1/emails/batch', batch, { 'idempotency-key': 'Top-secret key' })).body;
  await api.api('POST', '/v1/emails', { ...email('bob@y.example'), to: 'top-secret of nobody@z.example' });
  await fetch(`${api.url}/v1/emails`, { headers: { authorization: 'Bearer pr_top-secret-key-of-nobody' } });
  await api.api('GET', '/v1/emails?to=bob@y.example');
  await fetch(`${api.url}/u/top-secret-token`);
  await api.api('POST', `/v1/emails/${data[2]?.id}/cancel`);
  await until('all to be told', () => named(linesOf(worker), 'webhook').length >= 3);
  const denied = '554 5.7.1 <r***@y.example>: Relay access denied';
  await until('what the relay denied to be told', () =>
    named(linesOf(worker), 'attempt').some(({ detail }) => String(detail).includes(denied)),
  );
  await redis.stop();
  await api.api('POST', '/v1/emails', email('bob@y.example'));
  await until('the trouble to be told', () => named(linesOf(worker), 'trouble').length > 0);
  await until('the refusal to be told', () =>
    named(linesOf(api), 'request').some(({ problem }) => problem === 'redis_away'),
  );

  const [atApi, atWorker] = [linesOf(api), linesOf(worker)];
  for (const line of [...atApi, ...atWorker])
    expect(line).toMatchObject({ level: expect.any(Number), time: expect.any(Number), msg: expect.any(String) });
  const all = api.output() + worker.output();
  expect(all).not.toMatch(/(?:bob|nobody|later|slow|relayed|ann|postmaster)@/i);
  expect(all).not.toMatch(/top.secret/i);
  for (const hidden of [secret, secret.slice('whsec_'.length), token, testApiKey, testSecretKey])
    expect(all).not.toContain(hidden);

  const stored = named(atApi, 'accept').find(({ email_ids }) => String(email_ids) === id);
  const request = named(atApi, 'request').find((line) => line.id === stored?.request_id);
  expect(request).toMatchObject({ method: 'POST', route: '/v1/emails', status: 202, key_id: 'admin' });
  const [attempt, ...more] = named(atWorker, 'attempt').filter(({ email_id }) => email_id === id);
  expect(more).toEqual([]);
  expect(attempt).toMatchObject({
    outcome: 'answered',
    lane: 'transactional',
    recipients: [{ to: 'b***@y.example', status: 'sent', code: 250 }],
    ms: { envelope: expect.any(Number), body: expect.any(Number) },
  });
  const ids = data.map((one) => one.id);
  expect(named(atApi, 'accept')).toContainEqual(expect.objectContaining({ emails: 4, email_ids: ids }));
  expect(named(atApi, 'request')).toContainEqual(expect.objectContaining({ status: 422, problem: 'validation_error' }));
  expect(named(atApi, 'request')).toContainEqual(expect.objectContaining({ status: 503, problem: 'redis_away' }));
  expect(named(atWorker, 'webhook')).toContainEqual(expect.objectContaining({ status: 503, attempt: 1 }));
});

it('the log says once that Redis is away, with the reason, and that it is back; failures meanwhile are not repeated', async () => {
  await redis.stop();
  await until('it to be away', () => named(linesOf(worker), 'Redis is away').length > 0);
  await redis.start();
  await until('it to be back', () => named(linesOf(worker), 'Redis is back').length > 0);
  await until('it to be back for the other', () => named(linesOf(api), 'Redis is back').length > 0);
  for (const lines of [linesOf(api), linesOf(worker)]) {
    expect(String(named(lines, 'Redis is away').at(-1)?.error)).toContain('connect ECONNREFUSED');
    const said = named(lines, 'trouble').map(({ part, error, job, email_id }) => [part, error, job, email_id].join());
    expect(new Set(said).size).toBe(said.length);
  }
});
