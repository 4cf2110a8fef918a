/**
 * Chaos, bounded: workers and API are killed at random, Redis is killed and started again, and the next hop fails in every way, while 5,000
 * emails flow. Nothing is lost, the ledger is exact, every repeat was in flight at a kill or a cut and was told of, and in the end all of it goes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { eventId } from '../../src/domain/id.ts';
import { sweepEmails } from '../../src/pipeline/sweep-emails.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { openRetention } from '../../src/store/retention.ts';
import { type Chance, openChance } from '../support/chance.ts';
import { type Mail, planOf, type Request } from '../support/chaos-mail.ts';
import { openFaultySmtp } from '../support/faulty-smtp.ts';
import { all, liveAndDie, makeTurns, startPatiently } from '../support/fleet.ts';
import { idsInFlight, ledgerOf, type Moment, readMoment, wrongsOf } from '../support/moment.ts';
import type { Answer, Env, Postrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { judge } from '../support/verdict.ts';

const emails = 5_000;
const clients = 6;
/** On two cores of its own it takes a minute and a half; the rest is for a machine that others use as well. */
const timeoutMs = 540_000;
/** As long as the storm at most: its API is up for a few seconds at a time. */
const clientPatienceMs = 120_000;
/** Each of two workers, and the API. */
const workerLives = 9;
const apiLives = 4;
const redisRestarts = 3;
const outages = 2;
/** Looks at the whole ledger while all of this goes on. */
const looks = 5;
const hooked = ['email.sent', 'email.bounced', 'email.canceled', 'email.outcome_unknown'] as const;

/** The clients of an API that is sometimes away: what they had accepted, and what they asked to be canceled. */
class Clients {
  readonly accepted = new Map<number, string>();
  readonly canceled = new Set<string>();
  readonly #chance: Chance;
  api: Postrider | undefined;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  async ask(...asked: Parameters<Postrider['api']>): Promise<Answer | null> {
    // An answer that breaks the contract is a failure, one that does not come is not.
    return this.api?.api(...asked).catch((error) => (error.code === undefined ? Promise.reject(error) : null)) ?? null;
  }

  /** Posts everything, a few requests at a time, each repeated under its key until it is accepted. */
  async post(plan: Request[]): Promise<void> {
    const client = async (number: number) => {
      for (let request = plan.shift(); request !== undefined; request = plan.shift()) {
        await pause(this.#chance.between(0, 60, 'client', number, plan.length));
        await this.#postOne(request);
        for (const mail of request.mails) if (mail.isScheduled) await this.#change(mail);
      }
    };
    await all(...Array.from({ length: clients }, (_, number) => client(number)));
  }

  async #postOne({ path, body, key, mails }: Request): Promise<void> {
    const answer = await until(
      `${key} to be accepted`,
      async () => {
        const answer = await this.ask('POST', path, body, { 'idempotency-key': key });
        if (answer !== null && answer.status !== 503) expect([202, 409]).toContain(answer.status);
        return answer?.status === 202 && answer;
      },
      undefined,
      clientPatienceMs,
    );
    const ids = path === '/v1/emails' ? [answer.body.id] : answer.body.data.map(({ id }) => id);
    for (const [index, { n }] of mails.entries()) this.accepted.set(n, ids[index] ?? '');
  }

  async #change({ n }: Mail): Promise<void> {
    const id = this.accepted.get(n) ?? '';
    const what = this.#chance.of('change', n);
    if (what < 0.3) this.canceled.add(id);
    if (what < 0.3) await this.ask('POST', `/v1/emails/${id}/cancel`);
    else if (what < 0.6) await this.ask('PATCH', `/v1/emails/${id}`, { scheduled_at: new Date().toISOString() });
  }

  /** Lets held mail go, again and again. */
  async release(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const held = await this.ask('GET', '/v1/emails?status=outcome_unknown&limit=100');
      for (const { id } of held?.status === 200 ? held.body.data : []) await this.ask('POST', `/v1/emails/${id}/retry`);
      await pause(300);
    }
  }
}

/** Everything that is ended or breaks, and how the ledger stands meanwhile. @returns how often each email was in flight at an end */
async function storm(
  chance: Chance,
  env: Env,
  redis: TestRedis,
  smtp: { breakDown(ms: number): Promise<void> },
  users: Clients,
) {
  const caught = new Map<string, number>();
  const inTurn = makeTurns();
  const after = (what: string, least: number, most: number, n: number) => pause(chance.between(least, most, what, n));
  const end = (kill: () => Promise<void>) =>
    inTurn(async () => {
      await kill();
      for (const id of await idsInFlight(redis.url)) caught.set(id, (caught.get(id) ?? 0) + 1);
    });
  const worker = {
    env: { ...env, ROLES: 'worker' },
    lives: workerLives,
    lifeMs: [500, 5_000],
    stops: 0.1,
    end,
  } as const;
  const onStart = (started: Postrider) => {
    users.api = started;
  };
  const times = async (count: number, step: (n: number) => Promise<void>) => {
    for (let n = 0; n < count; n++) await step(n);
  };
  const api = { env: { ...env, ROLES: 'api' }, lives: apiLives, lifeMs: [2_000, 8_000], stops: 0, onStart } as const;
  const [first, second] = await all(
    liveAndDie(chance, { name: 'worker 1', ...worker }),
    liveAndDie(chance, { name: 'worker 2', ...worker }),
    liveAndDie(chance, { name: 'api', ...api, end: (kill) => kill() }),
    times(redisRestarts, async (n) => {
      await after('redis', 4_000, 9_000, n);
      await inTurn(async () => {
        await redis.stop();
        await redis.start();
      });
    }),
    times(outages, async (n) => {
      await after('outage', 6_000, 12_000, n);
      await smtp.breakDown(chance.between(500, 2_500, 'outage lasts', n));
    }),
    times(looks, async (n) => {
      await after('look', 2_000, 6_000, n);
      await inTurn(async () => expectExact(await momentWith(redis, users)));
    }),
  );
  return { kills: first + second, caught };
}

/** With what was accepted by then. */
async function momentWith(redis: TestRedis, { accepted }: Clients): Promise<[Moment, string[]]> {
  const ids = [...accepted.values()];
  return [await readMoment(redis.url), ids];
}

function expectExact([moment, accepted]: [Moment, string[]]): void {
  expect(wrongsOf(moment, accepted)).toEqual([]);
  const { pending, all, outcome_unknown, sent, bounced, canceled } = ledgerOf(moment);
  expect(pending + outcome_unknown + sent + bounced + canceled).toBe(all);
}

/** Waits as long as something moves. */
async function drain(what: string, countLeft: () => Promise<number>): Promise<void> {
  for (let left = await countLeft(); left > 0; ) {
    const before = left;
    await until(`fewer than ${before} ${what}`, async () => {
      await pause(800);
      left = await countLeft();
      return left < before;
    });
  }
}

const isHooked = ({ type }: { type: string }) => (hooked as readonly string[]).includes(type);

/** Each event that was asked for came by webhook, under its own id. */
async function expectHooks({ hooks }: Receiver, { events }: Moment): Promise<void> {
  const wanted = [...events.values()].flat().filter(isHooked);
  const nameOf = (id: string, sequence: number, type: string) => `${eventId(id, sequence)} ${type}`;
  const missing = async () => {
    const had = new Set(hooks.map(({ event: { type, data } }) => nameOf(data.email_id, data.sequence, type)));
    return wanted.filter(({ emailId, sequence, type }) => !had.has(nameOf(emailId, sequence, type))).length;
  };
  await drain('webhooks to come', missing);
  const had = new Map(
    hooks.map(({ headers, event }) => [`${event.data.email_id} ${event.data.sequence}`, headers['webhook-id']]),
  );
  expect(had.size).toBe(wanted.length);
  expect(new Set(hooks.map(({ headers }) => headers['webhook-id'])).size).toBe(wanted.length);
}

/** What the API shows is what stands there. */
async function expectShown({ api }: Postrider, { emails, events }: Moment, id: string): Promise<void> {
  const { body } = await api('GET', `/v1/emails/${id}`);
  const stored = emails.get(id)?.state.recipients.map(({ address, status }) => ({ email: address, status }));
  expect(body.recipients.map(({ email, status }) => ({ email, status }))).toEqual(stored);
  const history = (await api('GET', `/v1/emails/${id}/events`)).body.data as unknown as { events: { id: string }[] }[];
  expect(history.flatMap((entry) => entry.events.map((event) => event.id))).toEqual(
    events.get(id)?.map((event) => event.id),
  );
}

/** Once the time of all emails is over, nothing of them is left. */
async function expectForgotten(server: TestRedis): Promise<void> {
  const redis = server.connect();
  const [emails, retention] = [openEmails(redis), openRetention(redis)];
  const now = () => Date.now() + 60_000;
  const keepMs = { content: 0, record: 0 };
  await sweepEmails({ emails, retention, keepMs, report: () => {}, now }, new AbortController().signal);
  const left = await Promise.all([keys.email('*'), keys.content('*'), keys.file('*')].map((all) => redis.keys(all)));
  expect(left.flat()).toEqual([]);
  expect(await redis.exists(keys.ended, keys.emptied, keys.emailIndex, keys.fileUses)).toBe(0);
}

it(
  'loses nothing and repeats only what was in flight, whatever is killed and however the next hop fails',
  async () => {
    const startedAt = Date.now();
    const chance = openChance('kills and faults');
    await using redis = await openTestRedis();
    await using smtp = await openFaultySmtp(chance);
    await using receiver = await openReceiver((n) => (n % 40 === 0 ? 503 : 204));
    const env: Env = {
      REDIS_URL: redis.url,
      SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none&connections=50`,
      WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
      // Long enough not to lapse by itself on a busy machine: here a job is taken over only from a worker that is dead.
      WORKER_LOCK: '4s',
      LOG_LEVEL: 'error',
    };
    {
      await using first = await startPatiently('api', { ...env, ROLES: 'api' });
      expect((await first.api('POST', '/v1/webhooks', { endpoint: receiver.url, events: hooked })).status).toBe(201);
    }
    const users = new Clients(chance);
    await using opened = new AsyncDisposableStack();
    const start = async (roles: string) => opened.use(await startPatiently(roles, { ...env, ROLES: roles }));
    const isOver = opened.adopt(new AbortController(), (controller) => controller.abort());
    const releasing = users.release(isOver.signal);
    async function calmAfterStorm() {
      const { kills, caught } = await storm(chance, env, redis, smtp, users);
      const afterMs = Date.now() - startedAt;
      const left = ledgerOf(await readMoment(redis.url)).pending;
      smtp.recover();
      users.api = await start('api');
      await Promise.all([start('worker'), start('worker')]);
      return { kills, caught, afterMs, left, api: users.api };
    }
    const [{ caught, api, ...calm }] = await all(calmAfterStorm(), users.post(planOf(chance, emails, startedAt)));
    await drain('recipients to be pending or held', async () => {
      const { pending, outcome_unknown } = ledgerOf(await readMoment(redis.url));
      return pending + outcome_unknown;
    });
    isOver.abort();
    await releasing;

    const [moment, ids] = await momentWith(redis, users);
    expectExact([moment, ids]);
    expect([new Set(ids).size, moment.emails.size]).toEqual([emails, emails]);
    const { wrongs, repeats, unknowns } = judge(moment, { smtp, caught, canceled: users.canceled });
    expect(wrongs).toEqual([]);
    await expectHooks(receiver, moment);
    for (const [n, id] of users.accepted) if (n % 20 === 0) await expectShown(api, moment, id);
    await expectForgotten(redis);
    const { sent, bounced, canceled } = ledgerOf(moment);
    const handedOver = smtp.handedOver.length;
    const ms = Date.now() - startedAt;
    console.log(`chaos: ${JSON.stringify({ ...calm, ms, sent, bounced, canceled, handedOver, unknowns, repeats })}`);
  },
  timeoutMs,
);
