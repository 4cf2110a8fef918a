/** GET /v1/emails/:id/explain and /events: each reason brought about for real, and told in a sentence that is true. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type ExplanationReason, explanationReasons } from '../../src/domain/explain.ts';
import { campaignReasons } from '../../src/domain/explain-campaign.ts';
import { openAllotments } from '../../src/store/allotments.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const hour = 3_600_000;
const base = { from: 'a@example.com', subject: 'Hi', text: 'Hello' };
const seen = new Set<string>();

let env: Env;
let api: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  const smtp = opened.use(
    await openSmtpServer({
      onRecipient: (address) =>
        address.startsWith('slow')
          ? '450 4.2.0 Greylisted'
          : address.startsWith('gone')
            ? '550 5.1.1 No such user'
            : undefined,
      onMessage: ({ to }) => (to[0]?.startsWith('hold') ? 'hold' : undefined),
    }),
  );
  env = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none&name=main`,
    RETRY_SCHEDULE: '1h',
    ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'true',
    LOG_LEVEL: 'warn',
  };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
});
afterAll(() => opened.disposeAsync());

async function send(more: object, to = api): Promise<string> {
  return (await to.api('POST', '/v1/emails', { ...base, to: 'b@example.org', ...more })).body.id;
}

async function explained(id: string, reason: ExplanationReason, from = api) {
  seen.add(reason);
  const look = async () => (await from.api('GET', `/v1/emails/${id}/explain`)).body;
  return until(
    `${id} to be explained by ${reason}`,
    async () => {
      const body = await look();
      return body.reason === reason && body;
    },
    look,
  );
}

async function nextAttempt(id: string): Promise<string | undefined> {
  const { recipients } = (await api.api('GET', `/v1/emails/${id}`)).body;
  return (recipients as readonly { next_attempt_at?: string }[])[0]?.next_attempt_at;
}

const isoIn = (ms: number) => new Date(Date.now() + ms).toISOString();

it('without a worker: it waits for its time, or to be taken into the queue', async () => {
  const at = isoIn(hour);
  expect(await explained(await send({ scheduled_at: at }), 'scheduled')).toMatchObject({
    status: 'scheduled',
    summary: `It is scheduled for ${at} and waits for that time.`,
    moves_at: at,
    recipients: [{ email: 'b@example.org', status: 'scheduled', why: `next attempt at ${at}` }],
  });
  expect(await explained(await send({}), 'waiting_for_queue')).toMatchObject({
    status: 'queued',
    summary:
      'It is safely stored and waits for a worker to take it into the queue. If this lasts, see that a worker is running.',
    moves_at: null,
  });
});

it('with a worker: it was deferred, is being sent, is held, or is done', async () => {
  const ids = {
    slow: await send({ to: ['slow@example.org', 'b@example.org'] }),
    file: await send({ attachments: [{ path: 'https://127.0.0.1:1/a.pdf' }] }),
    gone: await send({ to: 'gone@example.org', cc: 'b@example.org' }),
  };
  const hold = await send({ to: 'hold@example.org', on_unknown: 'hold' });
  {
    await using worker = await startPostrider({ ...env, ROLES: 'worker' });
    const slow = await explained(ids.slow, 'deferred');
    const next = await nextAttempt(ids.slow);
    expect(slow).toMatchObject({
      status: 'deferred',
      summary: `An attempt did not succeed, but may later. The next one is at ${next}.`,
      moves_at: next,
      recipients: [
        { status: 'deferred', why: `main answered: 450 4.2.0 Greylisted; after 1 attempt; next attempt at ${next}` },
        { status: 'sent', why: expect.stringMatching(/^main answered: 250 /) },
      ],
    });
    const file = await explained(ids.file, 'attachment_trouble');
    expect(file).toMatchObject({
      status: 'deferred',
      summary: `A file to attach could not be fetched. That is tried again at ${await nextAttempt(ids.file)}.`,
      moves_at: expect.any(String),
      recipients: [
        {
          status: 'deferred',
          why: expect.stringMatching(/^attachment a\.pdf: .*ECONNREFUSED.*; after 1 attempt; next/),
        },
      ],
    });
    expect(await explained(ids.gone, 'final')).toMatchObject({
      summary: 'It is done: 1 bounced, 1 sent. Nothing more will be tried.',
      moves_at: null,
      ends_at: null,
    });
    const sending = await explained(hold, 'sending');
    expect(sending).toMatchObject({ status: 'sending', recipients: [{ status: 'sending' }] });
    expect(sending.summary).toMatch(
      /^It is being handed over to the next hop by transport main since 20\d\d-.*Z\. Should that worker have died, another takes over within twice WORKER_LOCK\.$/,
    );
    worker.kill('SIGKILL');
    await worker.ended;
  }
  await using _worker = await startPostrider({ ...env, ROLES: 'worker' });
  expect(await explained(hold, 'held')).toMatchObject({
    status: 'outcome_unknown',
    summary: expect.stringContaining('POST …/retry sends it again under the same Message-ID'),
    moves_at: null,
  });
});

it('with a server that is down or does not speak: the transport is in trouble, or a worker has it in hand', async () => {
  await using one = await openTestRedis();
  await using other = await openTestRedis();
  await using silent = await openScriptedSmtp(() => 'stall');
  const start = (REDIS_URL: string, server: string) =>
    startPostrider({ ...env, REDIS_URL, SMTP_URL: `${server}?tls=none&name=down`, WORKER_CONCURRENCY: '1' });
  {
    await using alone = await start(one.url, 'smtp://127.0.0.1:1');
    const trouble = await explained(await send({}, alone), 'transport_trouble', alone);
    expect(trouble.summary).toMatch(
      /^Transport down is in trouble, which is not the email's fault and counts as no attempt\. It is tried again at 20\d\d-.*Z\.$/,
    );
    expect(trouble.recipients[0]).toMatchObject({
      status: 'queued',
      why: expect.stringMatching(/ECONNREFUSED.*; next attempt at /),
    });
  }
  await using alone = await start(other.url, `smtp://127.0.0.1:${silent.port}`);
  expect(await explained(await send({}, alone), 'in_hand', alone)).toMatchObject({
    status: 'queued',
    summary: 'A worker has it in hand: its message is being made or waits for a connection.',
  });
  expect(await explained(await send({}, alone), 'waiting_for_worker', alone)).toMatchObject({
    status: 'queued',
    summary:
      'It is due and waits for a free worker, with 1 email in the transactional queue. If this lasts, see that a worker is running.',
    moves_at: null,
  });
});

it('parked for a transport that is paused or may send no more for now', async () => {
  await using redis = await openTestRedis();
  const start = { ...env, REDIS_URL: redis.url, SMTP_URL: `${env.SMTP_URL}&quota=1/h` };
  await using alone = await startPostrider(start);
  await alone.api('POST', '/v1/transports/main/pause');
  const paused = await until('one to be parked', async () => {
    const id = await send({}, alone);
    const { reason } = await until('it to go or wait', async () => {
      const { body } = await alone.api('GET', `/v1/emails/${id}/explain`);
      return ['final', 'transport_paused'].includes(body.reason) && body;
    });
    return reason === 'transport_paused' && id;
  });
  expect(await explained(paused, 'transport_paused', alone)).toMatchObject({
    status: 'queued',
    summary: expect.stringMatching(
      /^Transport main was paused at 20\d\d-.*Z by the key admin, which costs the email no attempt\. POST \/v1\/transports\/main\/resume lets it go\.$/,
    ),
    moves_at: null,
    recipients: [{ status: 'queued', why: 'waits for transport main to be resumed' }],
  });
  await alone.api('POST', '/v1/transports/main/resume');
  const ids = [await send({}, alone), await send({}, alone)];
  const over = await explained(ids[1] ?? '', 'waiting_for_budget', alone);
  expect(over.summary).toMatch(
    /^Transport main may send 1 per hour\. (?:No email is|One email is|About \d+ emails are) before this one, which goes at about 20\d\d-.*Z; the wait costs it no attempt\.$/,
  );
  const { moves_at: movesAt } = over as unknown as { moves_at: string };
  expect(over.summary).toContain(movesAt);
  expect(Date.parse(movesAt)).toBeGreaterThan(Date.now());
});

it('parked for a transport whose server refuses the login, or has no connection free', async () => {
  await using one = await openTestRedis();
  await using other = await openTestRedis();
  await using refusing = await openScriptedSmtp(undefined, { login: { methods: ['PLAIN'], user: 'u', pass: 'p' } });
  const start = (REDIS_URL: string, SMTP_URL: string) => startPostrider({ ...env, REDIS_URL, SMTP_URL });
  {
    await using alone = await start(one.url, `smtp://u:wrong@127.0.0.1:${refusing.port}?tls=none&name=locked`);
    await send({}, alone);
    await until('the breaker to open', async () => {
      const { body } = await alone.api('GET', '/v1/transports/locked');
      return (body as unknown as { state: string }).state === 'degraded';
    });
    const degraded = await explained(await send({}, alone), 'transport_degraded', alone);
    expect(degraded).toMatchObject({
      status: 'queued',
      summary: expect.stringMatching(
        /^Transport locked is in trouble since 20\d\d-.*Z \(.*535 5\.7\.8.*\), which costs the email no attempt\. It is tried next (?:now|at 20\d\d-.*Z), and once that goes well the email goes out by itself\.$/,
      ),
      recipients: [{ status: 'queued', why: expect.stringMatching(/waits for transport locked to be well again$/) }],
    });
  }
  await using alone = await start(other.url, `${env.SMTP_URL}&connections=1`);
  await explained(await send({ to: 'hold@example.org' }, alone), 'sending', alone);
  expect(await explained(await send({}, alone), 'transport_busy', alone)).toMatchObject({
    status: 'queued',
    summary:
      'Transport main had no connection free for it: now 1 of 1 have a message in hand. The email goes as soon as one is free; that costs it no attempt.',
    moves_at: null,
  });
});

it('parked for a transport that answers nothing, as its worker reports', async () => {
  await using server = await openTestRedis();
  await using alone = await startPostrider({ ...env, REDIS_URL: server.url, ROLES: 'api' });
  const redis = new Redis(server.url.slice('unix://'.length));
  onTestFinished(() => redis.disconnect());
  const id = await send({}, alone);
  const now = Date.now();
  await openBudgets(redis).park('main', [{ id, lane: 'transactional', dueAt: now, endsAt: now + hour }], now);
  // A report is good for three seconds: this one is from ahead of them.
  const hanging = { wanted: 2, open: 2, busy: 2, waiting: 0, hanging: 2 };
  await openAllotments(redis).allot('main', 'w1', hanging, 10, now + 60_000);
  expect(await explained(id, 'transport_hanging', alone)).toMatchObject({
    summary: expect.stringMatching(
      /^Transport main has not answered any of the 2 messages it was given for much longer/,
    ),
    recipients: [{ status: 'queued', why: expect.stringMatching(/waits for transport main to answer$/) }],
  });
  expect((await alone.api('GET', '/v1/transports/main')).body).toMatchObject({
    state: 'hanging',
    pool: { hanging: 2 },
  });
  expect((await alone.api('GET', '/readyz')).body.checks).toContainEqual({
    name: 'transport main',
    ok: false,
    detail: 'its server answers nothing it is given',
  });
});

it('every reason has been seen, but for those of campaigns', () => {
  const reasons = explanationReasons.filter((reason) => !(campaignReasons as readonly string[]).includes(reason));
  expect([...seen].toSorted()).toEqual(reasons.toSorted());
});

it('the timeline has each attempt and each change with what it led to', async () => {
  await using _worker = await startPostrider({ ...env, ROLES: 'worker' });
  const id = await send({ to: ['gone-too@example.org', 'b@example.org'], scheduled_at: isoIn(hour) });
  await api.api('PATCH', `/v1/emails/${id}`, { scheduled_at: isoIn(2 * hour) });
  await api.api('PATCH', `/v1/emails/${id}`, { scheduled_at: isoIn(0) });
  await explained(id, 'final');
  const { body } = await api.api('GET', `/v1/emails/${id}/events`);
  expect(body).toMatchObject({ object: 'list', has_more: false, transport_faults: 0 });
  const event = (type: string, sequence: number, to: string[], reply?: string) => ({
    id: `ev_${id.slice(3)}_${sequence}`,
    ...{ type: `email.${type}`, sequence, to, reason: null },
    smtp: reply === undefined ? null : expect.objectContaining({ reply }),
  });
  const both = ['gone-too@example.org', 'b@example.org'];
  const nothing = { detail: null, transport: null, host: null, tls: null, ms: null, at: expect.any(String) };
  expect(body.data).toEqual([
    { ...nothing, kind: 'accepted', events: [event('scheduled', 1, both)] },
    { ...nothing, kind: 'rescheduled', events: [event('scheduled', 2, both)] },
    { ...nothing, kind: 'rescheduled', events: [event('queued', 3, both)] },
    {
      ...{ kind: 'answered', at: expect.any(String), detail: null, transport: 'main' },
      ...{
        host: expect.toBeOneOf([null, expect.any(String)]),
        tls: null,
        ms: expect.toBeOneOf([null, expect.any(Object)]),
      },
      events: [
        event('bounced', 4, ['gone-too@example.org'], '550 5.1.1 No such user'),
        event('sent', 5, ['b@example.org'], '250 2.0.0 Ok: queued as TEST'),
      ],
    },
  ]);
});
