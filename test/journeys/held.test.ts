/**
 * on_unknown: hold. What may have been handed over is not sent again until that is asked for, and then under the same Message-ID; or it is
 * canceled.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const cases: [what: string, more: object, messageIdOf: (id: string) => string][] = [
  [
    'the Message-ID it was given',
    { headers: { 'Message-ID': '<order.17@shop.example.com>' } },
    () => '<order.17@shop.example.com>',
  ],
  ['the Message-ID that was made for it', {}, (id) => `<${id}@example.com>`],
];
/** An email that is held and not sent again. */
let unwanted: string;

const opened = new AsyncDisposableStack();
let api: Postrider;
let smtp: TestSmtpServer;
/** What was handed over to a server that never answered. */
const handedOver: string[] = [];
/** The emails of the cases. */
const ids: string[] = [];
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  const stuck = opened.use(
    await openSmtpServer({
      onMessage({ raw }) {
        handedOver.push(raw.toString());
        return 'hold';
      },
    }),
  );
  const tries = new Map<string, number>();
  smtp = opened.use(
    await openSmtpServer({
      onMessage({ raw }) {
        const [messageId = ''] = /^Message-ID: .*$/m.exec(raw.toString()) ?? [];
        const count = (tries.get(messageId) ?? 0) + 1;
        tries.set(messageId, count);
        return count <= 2 ? '451 4.3.0 Later' : undefined;
      },
    }),
  );
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`, LOG_LEVEL: 'warn' };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  const base = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello', on_unknown: 'hold' };
  for (const [, more] of cases) ids.push((await api.api('POST', '/v1/emails', { ...base, ...more })).body.id);
  unwanted = (await api.api('POST', '/v1/emails', base)).body.id;
  const SMTP_URL = `smtp://127.0.0.1:${stuck.port}?tls=none`;
  {
    await using worker = await startPostrider({ ...env, SMTP_URL, ROLES: 'worker' });
    await until('the hand-overs', () => handedOver.length === cases.length + 1);
    worker.kill('SIGKILL');
    await worker.ended;
  }
  opened.use(await startPostrider({ ...env, ROLES: 'worker' }));
});
afterAll(() => opened.disposeAsync());

it.each(cases)(
  'an email whose worker died after the hand-over is held, and retried under %s',
  async (what, _, messageIdOf) => {
    const id = ids[cases.findIndex(([name]) => name === what)] ?? '';
    const look = async () => (await api.api('GET', `/v1/emails/${id}`)).body;
    await until('it to be held', async () => (await look()).status === 'outcome_unknown', look);
    expect(await look()).toMatchObject({ last_event: 'outcome_unknown', attempts: 1 });
    const copies = () => smtp.mails.map(({ parsed }) => parsed.messageId).filter((one) => one === messageIdOf(id));
    expect(copies()).toEqual([]);

    expect(await api.api('POST', `/v1/emails/${id}/retry`)).toMatchObject({ status: 200, body: { status: 'queued' } });
    await until('it to be sent', async () => (await look()).status === 'sent', look);
    expect(await look()).toMatchObject({ attempts: 3, message_id: messageIdOf(id) });
    expect(copies()).toHaveLength(1);
    expect(handedOver.filter((raw) => raw.includes(`Message-ID: ${messageIdOf(id)}`))).toHaveLength(1);
    const { body } = await api.api('GET', `/v1/emails/${id}/events`);
    expect(body.data.map((entry) => (entry as unknown as { kind: string }).kind)).toEqual([
      'accepted',
      'unknown',
      'retried',
      'answered',
      'answered',
      'answered',
    ]);
  },
);

it('an email that is held can be ended, with a word that it may have been handed over', async () => {
  const look = async () => (await api.api('GET', `/v1/emails/${unwanted}`)).body;
  await until('it to be held', async () => (await look()).status === 'outcome_unknown', look);
  const { body: explained } = await api.api('GET', `/v1/emails/${unwanted}/explain`);
  expect(explained.summary).toContain('POST …/cancel ends it');
  expect(await api.api('POST', `/v1/emails/${unwanted}/cancel`)).toMatchObject({ body: { status: 'canceled' } });
  expect(await look()).toMatchObject({
    last_event: 'canceled',
    recipients: [{ status: 'canceled', reason: expect.stringContaining('may have been handed over') }],
  });
});
