/** GET /v1/emails/:id/explain and /events: each reason brought about for real, and told in a sentence that is true. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ExplanationReason, explanationReasons } from '../../src/domain/explain.ts';
import { campaignReasons } from '../../src/domain/explain-campaign.ts';
import { openAllotments } from '../../src/store/allotments.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const hour = 3_600_000;
const seen = new Set<string>();

let world: World;
let silentPort: number;
beforeAll(async () => {
  const { port } = opened.use(
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
  const login = { methods: ['PLAIN'], user: 'u', pass: 'p' } as const;
  const refusing = opened.use(await openScriptedSmtp(undefined, { login }));
  const silent = opened.use(await openScriptedSmtp(() => 'stall'));
  silentPort = silent.port;
  const transports = {
    main: transportAt(port),
    idle: transportAt(port),
    limited: transportAt(port, { quota: '1/h' }),
    busy: transportAt(port, { connections: 1 }),
    locked: transportAt(refusing.port, { auth: { user: 'u', pass: 'wrong' } }),
    down: transportAt(1),
    silent: transportAt(silent.port),
    hanging: transportAt(port),
  };
  const alone = Object.keys(transports).map((name) => [name, { failover: [name] }]);
  const routes = { default: { failover: ['main'] }, ...Object.fromEntries(alone) };
  const more = { RETRY_SCHEDULE: '1h', ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'true' };
  world = opened.use(await openWorld({ transports, routes }, more));
});
afterAll(() => opened.disposeAsync());

const send = (more: object) => world.send(more);
const look = async (id: string) => (await world.api.api('GET', `/v1/emails/${id}/explain`)).body;

async function explained(id: string, reason: ExplanationReason) {
  seen.add(reason);
  return until(
    `${id} to be explained by ${reason}`,
    async () => {
      const body = await look(id);
      return body.reason === reason && body;
    },
    () => look(id),
  );
}

async function nextAttempt(id: string): Promise<string | undefined> {
  const { recipients } = await world.read(id);
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
      'It is safely stored and waits for a worker to take it into the queue. If this lasts, check that a worker is running.',
    moves_at: null,
  });
});

it('parked for a transport that answers nothing, as its worker reports', async () => {
  const id = await send({ route: 'hanging' });
  const now = Date.now();
  await world.budgets.park('hanging', [{ id, lane: 'transactional', dueAt: now, endsAt: now + hour }], now);
  // A report is good for three seconds: this one is from ahead of them.
  const report = { wanted: 2, open: 2, busy: 2, waiting: 0, hanging: 2 };
  await openAllotments(world.redis).allot('hanging', 'w1', report, 10, now + 60_000);
  expect(await explained(id, 'transport_hanging')).toMatchObject({
    summary: expect.stringMatching(
      /^Transport hanging has not answered any of the 2 messages it was given for much longer/,
    ),
    recipients: [{ status: 'queued', why: expect.stringMatching(/waits for transport hanging to answer$/) }],
  });
  expect((await world.api.api('GET', '/v1/transports/hanging')).body).toMatchObject({
    state: 'hanging',
    pool: { hanging: 2 },
  });
  expect((await world.api.api('GET', '/readyz')).body.checks).toContainEqual({
    name: 'transport hanging',
    ok: false,
    detail: 'its server accepts messages but does not answer',
  });
});

it('with a worker: it was deferred, is being sent, is held, or is done', async () => {
  const ids = {
    slow: await send({ to: ['slow@example.org', 'b@example.org'] }),
    file: await send({ attachments: [{ path: 'https://127.0.0.1:1/a.pdf' }] }),
    gone: await send({ to: 'gone@example.org', cc: 'b@example.org' }),
  };
  const fetching = await send({ attachments: [{ path: `https://localhost:${silentPort}/a.pdf` }] });
  const hold = await send({ to: 'hold@example.org', on_unknown: 'hold' });
  const worker = await world.startWorker();
  const slow = await explained(ids.slow, 'deferred');
  const next = await nextAttempt(ids.slow);
  expect(slow).toMatchObject({
    status: 'deferred',
    summary: `An attempt failed, but a later one may succeed. The next one is at ${next}.`,
    moves_at: next,
    recipients: [
      { status: 'deferred', why: `main answered: 450 4.2.0 Greylisted; after 1 attempt; next attempt at ${next}` },
      { status: 'sent', why: expect.stringMatching(/^main answered: 250 /) },
    ],
  });
  expect(await explained(fetching, 'waiting_for_file')).toMatchObject({
    status: 'queued',
    summary: expect.stringMatching(/^One of its files is being fetched from localhost, or waits for its turn/),
    moves_at: null,
    recipients: [{ status: 'queued', why: 'waits for a file' }],
  });
  const file = await explained(ids.file, 'attachment_trouble');
  expect(file).toMatchObject({
    status: 'deferred',
    summary: `An attachment could not be fetched. The next try is at ${await nextAttempt(ids.file)}.`,
    moves_at: expect.any(String),
    recipients: [
      {
        status: 'deferred',
        why: expect.stringMatching(/^attachment a\.pdf: .*ECONNREFUSED.*; after 1 attempt; next/),
      },
    ],
  });
  expect(await explained(ids.gone, 'final')).toMatchObject({
    summary: 'Done: 1 bounced, 1 sent. Nothing more will be tried.',
    moves_at: null,
    ends_at: null,
  });
  const sending = await explained(hold, 'sending');
  expect(sending).toMatchObject({ status: 'sending', recipients: [{ status: 'sending' }] });
  expect(sending.summary).toMatch(
    /^It has been in hand-over to the next hop by transport main since 20\d\d-.*Z\. If its worker died, another takes over within twice WORKER_LOCK\.$/,
  );
  worker.kill('SIGKILL');
  await worker.ended;
  // One at a time, for what comes below.
  await world.startWorker({ WORKER_CONCURRENCY: '1' });
  expect(await explained(hold, 'held')).toMatchObject({
    status: 'outcome_unknown',
    summary: expect.stringContaining('POST …/retry sends it again under the same Message-ID'),
    moves_at: null,
  });
});

it('with a server that is down the transport is in trouble', async () => {
  const trouble = await explained(await send({ route: 'down' }), 'transport_trouble');
  expect(trouble.summary).toMatch(
    /^Transport down is in trouble\. This does not count as an attempt of the email\. It is tried again at 20\d\d-.*Z\.$/,
  );
  expect(trouble.recipients[0]).toMatchObject({
    status: 'queued',
    why: expect.stringMatching(/ECONNREFUSED.*; next attempt at /),
  });
});

it('parked for a transport that is paused', async () => {
  await world.api.api('POST', '/v1/transports/idle/pause');
  const paused = await until('one to be parked', async () => {
    const id = await send({ route: 'idle' });
    const { reason } = await until('it to go or wait', async () => {
      const body = await look(id);
      return ['final', 'transport_paused'].includes(body.reason) && body;
    });
    return reason === 'transport_paused' && id;
  });
  expect(await explained(paused, 'transport_paused')).toMatchObject({
    status: 'queued',
    summary: expect.stringMatching(
      /^Transport idle was paused at 20\d\d-.*Z by the key admin\. This does not count as an attempt of the email\. POST \/v1\/transports\/idle\/resume resumes it\.$/,
    ),
    moves_at: null,
    recipients: [{ status: 'queued', why: 'waits for transport idle to be resumed' }],
  });
});

it('parked for a transport that may send no more for now', async () => {
  const ids = await world.sendAll({ route: 'limited' }, [{}, {}]);
  const over = await explained(ids[1] ?? '', 'waiting_for_budget');
  expect(over.summary).toMatch(
    /^Transport limited may send 1 per hour\. (?:No email is|One email is|About \d+ emails are) before this one, which is sent at about 20\d\d-.*Z\. The wait does not count as an attempt\.$/,
  );
  const { moves_at: movesAt } = over as unknown as { moves_at: string };
  expect(over.summary).toContain(movesAt);
  expect(Date.parse(movesAt)).toBeGreaterThan(Date.now());
});

it('parked for a transport whose server refuses the login', async () => {
  await send({ route: 'locked' });
  await until('the breaker to open', async () => {
    const { body } = await world.api.api('GET', '/v1/transports/locked');
    return (body as unknown as { state: string }).state === 'degraded';
  });
  const degraded = await explained(await send({ route: 'locked' }), 'transport_degraded');
  expect(degraded).toMatchObject({
    status: 'queued',
    summary: expect.stringMatching(
      /^Transport locked has been in trouble since 20\d\d-.*Z \(.*535 5\.7\.8.*\)\. This does not count as an attempt of the email\. The transport is tried next (?:now|at 20\d\d-.*Z); once that succeeds, the email is sent by itself\.$/,
    ),
    recipients: [{ status: 'queued', why: expect.stringMatching(/waits for transport locked to be well again$/) }],
  });
});

it('the timeline has each attempt and each change with its result', async () => {
  const id = await send({ to: ['gone-too@example.org', 'b@example.org'], scheduled_at: isoIn(hour) });
  await world.api.api('PATCH', `/v1/emails/${id}`, { scheduled_at: isoIn(2 * hour) });
  await world.api.api('PATCH', `/v1/emails/${id}`, { scheduled_at: isoIn(0) });
  await explained(id, 'final');
  const { body } = await world.api.api('GET', `/v1/emails/${id}/events`);
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

it('parked for a transport that has no connection free', async () => {
  // In the other lane, where it is in nobody's way.
  await explained(await send({ to: 'hold@example.org', route: 'busy', lane: 'bulk' }), 'sending');
  expect(await explained(await send({ route: 'busy' }), 'transport_busy')).toMatchObject({
    status: 'queued',
    summary:
      'Transport busy had no connection free for it: now 1 of 1 have a message in hand. The email is sent in its turn when connections become free. The wait does not count as an attempt. It goes before bulk mail, which gets one place in 4 while both wait.',
    moves_at: null,
  });
});

it('with a server that does not speak a worker has it in hand, and others wait for the worker', async () => {
  expect(await explained(await send({ route: 'silent' }), 'in_hand')).toMatchObject({
    status: 'queued',
    summary: expect.stringMatching(/^A worker is handling it: .* check that a worker is running\.$/),
  });
  expect(await explained(await send({}), 'waiting_for_worker')).toMatchObject({
    status: 'queued',
    summary: expect.stringMatching(
      // What is parked is counted as well.
      /^It is due and waits for a free worker, with \d+ emails in the transactional queue\. If this lasts, check that a worker is running\.$/,
    ),
    moves_at: null,
  });
});

it('every reason has been seen, except those of campaigns', () => {
  const reasons = explanationReasons.filter((reason) => !(campaignReasons as readonly string[]).includes(reason));
  expect([...seen].toSorted()).toEqual(reasons.toSorted());
});
