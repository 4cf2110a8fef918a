/** An email past its time: it ends as expired and is not sent any more, and a retry gives it its time anew. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let smtp: ScriptedSmtp;
/** What the server answers to RCPT TO; undefined accepts. */
let answer: (line: string) => string | undefined;
let receiver: Receiver;
let env: Env;
let api: Postrider;
let secret: string;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(await openScriptedSmtp((stage, line) => (stage === 'RCPT' ? answer(line) : undefined)));
  receiver = opened.use(await openReceiver());
  env = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
  };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  const hook = { endpoint: receiver.url, events: ['email.expired'] };
  secret = (await api.api('POST', '/v1/webhooks', hook)).body.signing_secret;
});
afterAll(() => opened.disposeAsync());

const base = { from: 'a@example.com', subject: 'Hi', text: 'Hello' };
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();

type Shown = {
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly status: string;
  readonly last_event: string;
};
type Entry = { readonly at: string; readonly kind: string; readonly events: readonly { readonly type: string }[] };

async function send(fields: object): Promise<string> {
  const { status, body } = await api.api('POST', '/v1/emails', { ...base, ...fields });
  expect(status).toBe(202);
  return body.id;
}

const look = async (id: string) => (await api.api('GET', `/v1/emails/${id}`)).body as unknown as Shown;
const historyOf = async (id: string) =>
  (await api.api('GET', `/v1/emails/${id}/events`)).body.data as unknown as readonly Entry[];

/** Waits for its end, whichever it is. */
function end(id: string): Promise<Shown> {
  return until(
    `${id} to end`,
    async () => {
      const shown = await look(id);
      return !['queued', 'deferred', 'sending'].includes(shown.status) && shown;
    },
    () => look(id),
  );
}

const timesAsked = (address: string) => smtp.lines.filter((line) => line === `RCPT TO:<${address}>`).length;

/** An email that is deferred twice: when it is sent, whatever was to be tried again before has been. */
async function drain(address: string): Promise<void> {
  const before = answer;
  let tries = 0;
  answer = (line) => (line.includes(address) ? (++tries <= 2 ? '451 4.3.0 Not now' : undefined) : before(line));
  expect(await end(await send({ to: address }))).toMatchObject({ status: 'sent' });
  answer = before;
}

it('an email whose ttl or expires_at ends before a worker comes expires without an attempt, and a retry sends it', async () => {
  answer = () => undefined;
  const sent = [
    { address: 'ttl@example.org', id: await send({ to: 'ttl@example.org', ttl: 1 }) },
    { address: 'at@example.org', id: await send({ to: 'at@example.org', expires_at: inMs(400) }) },
  ];
  for (const { id } of sent) {
    const expiresAt = Date.parse((await look(id)).expires_at ?? '');
    await until('its time to be over', () => Date.now() > expiresAt);
    expect(await look(id)).toMatchObject({ status: 'queued' });
  }

  opened.use(await startPostrider({ ...env, ROLES: 'worker' }));
  for (const { id } of sent) {
    expect(await end(id)).toMatchObject({
      status: 'expired',
      last_event: 'expired',
      recipients: [{ status: 'expired', attempts: 0, smtp: null, transport: null }],
    });
    expect((await historyOf(id)).map(({ kind, events }) => [kind, events.map(({ type }) => type)])).toEqual([
      ['accepted', ['email.queued']],
      ['expired', ['email.expired']],
    ]);
  }
  await drain('after@example.org');
  for (const { id, address } of sent) {
    expect(timesAsked(address)).toBe(0);
    expect(await api.api('POST', `/v1/emails/${id}/retry`)).toMatchObject({ status: 200 });
    const again = await end(id);
    expect(again).toMatchObject({ status: 'sent' });
    // A time on the clock has passed and cannot be given anew.
    if (address.startsWith('at')) expect(again.expires_at).toBeNull();
    expect(timesAsked(address)).toBe(1);
  }
});

it('deferred until its ttl is over, it expires, is not tried any more, and is sent once when that is asked for', async () => {
  answer = (line) => (line.includes('slow@') ? '451 4.3.0 Not now' : undefined);
  const id = await send({ to: ['slow@example.org', 'quick@example.org'], ttl: 2 });
  const shown = await end(id);
  expect(shown).toMatchObject({
    status: 'expired',
    last_event: 'expired',
    expires_at: new Date(Date.parse(shown.created_at) + 2_000).toISOString(),
    recipients: [
      { status: 'expired', smtp: { code: 451 }, next_attempt_at: null, reason: 'not delivered before it expired' },
      { status: 'sent', attempts: 1 },
    ],
  });
  const events = (await historyOf(id)).flatMap((entry) => entry.events.map(({ type }) => type));
  expect(events).toEqual(['email.queued', 'email.delivery_delayed', 'email.sent', 'email.expired']);
  const hooks = await until('its webhook', () => {
    const got = receiver.eventsOf(id, secret);
    return got.length > 0 && got;
  });
  expect(hooks).toMatchObject([{ type: 'email.expired', data: { to: ['slow@example.org'], smtp: { code: 451 } } }]);

  const asked = timesAsked('slow@example.org');
  expect(asked).toBeGreaterThan(1);
  await drain('later@example.org');
  expect([timesAsked('slow@example.org'), timesAsked('quick@example.org')]).toEqual([asked, 1]);

  answer = () => undefined;
  expect(await api.api('POST', `/v1/emails/${id}/retry`)).toMatchObject({ status: 200, body: { status: 'queued' } });
  expect(await end(id)).toMatchObject({
    status: 'sent',
    recipients: [
      { status: 'sent', attempts: 1, smtp: { code: 250 } },
      { status: 'sent', attempts: 1 },
    ],
  });
  expect([timesAsked('slow@example.org'), timesAsked('quick@example.org')]).toEqual([asked + 1, 1]);
});

it('a retry gives the email its whole ttl again, which also expires', async () => {
  answer = () => '451 4.3.0 Not now';
  const id = await send({ to: 'again@example.org', ttl: 2 });
  await end(id);
  const asked = timesAsked('again@example.org');
  expect(await api.api('POST', `/v1/emails/${id}/retry`)).toMatchObject({ status: 200 });
  const shown = await end(id);
  expect(shown).toMatchObject({ status: 'expired', last_event: 'expired' });
  expect(timesAsked('again@example.org')).toBeGreaterThan(asked + 1);
  const history = await historyOf(id);
  const retriedAt = Date.parse(history.find(({ kind }) => kind === 'retried')?.at ?? '');
  // The entry is made when the decision is stored, a moment after it was taken.
  const given = Date.parse(shown.expires_at ?? '') - retriedAt;
  expect(given).toBeLessThanOrEqual(2_000);
  expect(given).toBeGreaterThan(1_500);
  expect(history.flatMap(({ events }) => events.map(({ type }) => type))).toEqual([
    'email.queued',
    'email.delivery_delayed',
    'email.expired',
    'email.queued',
    'email.delivery_delayed',
    'email.expired',
  ]);
});

it('an email whose schedule goes beyond its end is tried once more before that, and is sent by it', async () => {
  let tries = 0;
  answer = () => (++tries === 1 ? '451 4.7.1 Greylisted, try again in 20 minutes' : undefined);
  const redis = opened.use(await openTestRedis());
  const slow = opened.use(await startPostrider({ ...env, REDIS_URL: redis.url, RETRY_SCHEDULE: '1h' }));
  const email = { ...base, to: 'code@example.org', ttl: 7 };
  const { id } = (await slow.api('POST', '/v1/emails', email)).body;
  const shown = await until('it to be sent', async () => {
    const { body } = await slow.api('GET', `/v1/emails/${id}`);
    expect(['queued', 'sending', 'deferred', 'sent']).toContain(body.status);
    return body.status === 'sent' && body;
  });
  expect(shown).toMatchObject({ recipients: [{ status: 'sent', attempts: 2 }] });
});
