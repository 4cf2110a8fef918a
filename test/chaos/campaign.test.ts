/**
 * A campaign of 50,000 through two workers to a next hop that refuses some and defers some, while a worker is killed, Redis is killed and the
 * campaign is paused, with a stream of transactional mail beside it: nobody is passed over, repeats were in flight and are told of, and the
 * counts are exact whenever one looks.
 */
import { expect, it } from 'vitest';
import { campaignCounts, type PlaceMark } from '../../src/domain/campaign.ts';
import { placeId } from '../../src/domain/id.ts';
import { addCampaign, eventsIn, moveCampaign, type Standing, standingOf, tallyOf } from '../support/campaigns.ts';
import { type Env, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

const recipients = 50_000;
/** On two cores of its own it takes a minute and a half; the rest is for a machine that others use as well. */
const timeoutMs = 540_000;
const patienceMs = 400_000;

const isRefused = (n: number) => n % 100 === 17;
const isDeferred = (n: number) => n % 100 === 42;

/** So many messages that came are one step of the test beside it. */
const step = 250;

/** Takes everything but what it refuses, keeps a book of how often each address was handed a message, and tells of each step. */
async function openSink(onStep: () => void) {
  let count = 0;
  const handed = new Map<string, number>();
  const deferred = new Set<string>();
  const current = new Map<number, string>();
  const smtp = await openScriptedSmtp((stage, line, connection) => {
    if (stage === 'RCPT') return atRecipient(/<([^>]*)>/.exec(line)?.[1] ?? '', connection);
    if (stage !== 'body') return undefined;
    const address = current.get(connection) ?? '';
    handed.set(address, (handed.get(address) ?? 0) + 1);
    count += 1;
    if (count % step === 0) onStep();
    return undefined;
  });

  function atRecipient(address: string, connection: number): string | undefined {
    current.set(connection, address);
    const [, digits] = /^r(\d+)@/.exec(address) ?? [];
    if (digits === undefined) return undefined;
    if (isRefused(Number(digits))) return '550 5.1.1 No such user';
    if (!isDeferred(Number(digits)) || deferred.has(address)) return undefined;
    deferred.add(address);
    return '450 4.2.0 Later';
  }

  return { handed, port: smtp.port, [Symbol.asyncDispose]: () => smtp[Symbol.asyncDispose]() };
}

/** What marks and counts say of each other in one moment; those that left are counted, and have no mark that says as what. */
function wrongsOf({ counts, marks }: Standing): string[] {
  const marked = (...wanted: PlaceMark[]) => marks.filter((mark) => wanted.includes(mark)).length;
  const left = campaignCounts.map((name) => {
    const stays = name === 'pending' ? marked('queued', 'handing') : marked(name as PlaceMark);
    return { name, left: counts[name] - stays };
  });
  const sum = left.reduce((all, one) => all + one.left, 0);
  return [
    ...left.filter((one) => one.left < 0).map(({ name, left }) => `${name} lacks ${-left}`),
    ...(sum === marked('left') ? [] : [`${marked('left')} left, and ${sum} are counted beyond those that stay`]),
    ...(counts.recipients === recipients ? [] : [`${counts.recipients} recipients`]),
  ];
}

it(
  'a campaign of 50,000 survives kills, an outage and a pause without skipping a recipient',
  async () => {
    await using server = await openTestRedis();
    /** What is done at each step. */
    let takeStep = async () => {};
    const steps: Promise<void>[] = [];
    await using sink = await openSink(() => steps.push(takeStep()));
    await using opened = new AsyncDisposableStack();
    const open = () => server.connect();
    const redis = open().on('error', () => {});
    const SMTP_URL = `smtp://127.0.0.1:${sink.port}?tls=none&connections=10`;
    const env: Env = { REDIS_URL: server.url, SMTP_URL, LOG_LEVEL: 'error', WORKER_LOCK: '5s', RETRY_SCHEDULE: '1s' };
    const worker = { ...env, ROLES: 'worker' };
    opened.use(await startPostrider(worker));
    const api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));

    const id = await addCampaign(redis, { recipients });
    const wrongs: string[] = [];
    const stand = () => standingOf(redis, id);
    const pendingIs = (most: number) =>
      until(`${most} to be pending`, async () => (await stand()).counts.pending <= most, stand, patienceMs);
    const inFlight = async () => (await stand()).marks.filter((mark) => mark === 'handing').length;

    const posted: string[] = [];
    let asked = 0;
    const post = async () => {
      const to = `now${asked++}@example.org`;
      const email = { from: 'a@example.com', to, subject: 'Your code', text: '123456' };
      // While Redis is away it is refused, and nobody counts on it.
      const answer = await api.api('POST', '/v1/emails', email).catch(() => null);
      if (answer?.status === 202) posted.push(to);
    };
    takeStep = async () => {
      wrongs.push(...wrongsOf(await stand()));
      await post();
    };

    let caught = 0;
    {
      await using dying = await startPostrider(worker);
      await pendingIs(42_000);
      dying.kill('SIGKILL');
      await dying.ended;
      caught += await inFlight();
    }
    opened.use(await startPostrider(worker));
    await pendingIs(30_000);
    await server.stop();
    await server.start();
    caught += await inFlight();
    await pendingIs(20_000);

    await moveCampaign(redis, id, 'paused');
    await until('nothing to be in hand', async () => (await inFlight()) === 0);
    const paused = [...sink.handed.keys()].filter((address) => address.startsWith('r')).length;
    expect((await stand()).status).toBe('paused');
    const last = posted.length;
    for (let n = 0; n < 10; n++) await post();
    expect(posted.length).toBeGreaterThan(last);
    await until('mail to go on beside it', () => posted.slice(last).every((to) => sink.handed.has(to)));
    expect([...sink.handed.keys()].filter((address) => address.startsWith('r'))).toHaveLength(paused);
    await moveCampaign(redis, id, 'running');

    await pendingIs(5_000);
    const before = posted.length;
    await until('the campaign to be completed', async () => (await stand()).status === 'completed', stand, patienceMs);
    // Nothing of it waited behind the rest of the campaign.
    expect(posted.slice(0, before).filter((to) => !sink.handed.has(to))).toEqual([]);
    takeStep = async () => {};
    await Promise.all(steps);
    await until('all other mail to be sent', () => posted.every((to) => sink.handed.has(to)));

    expect(wrongs).toEqual([]);
    expect(steps.length).toBeGreaterThanOrEqual(Math.floor((recipients * 0.99) / step));
    const { counts } = await stand();
    expect(counts).toMatchObject({ recipients, pending: 0, sent: recipients * 0.99, bounced: recipients * 0.01 });
    expect(counts).toEqual(await tallyOf(redis, id));
    const addresses = Array.from({ length: recipients }, (_, n) => `r${n}@example.com`);
    const times = (n: number) => sink.handed.get(addresses[n] ?? '') ?? 0;
    expect(addresses.filter((_, n) => times(n) === 0 && !isRefused(n))).toEqual([]);
    const twice = addresses.flatMap((_, n) => (times(n) > 1 ? [placeId(id, n)] : []));
    const unknown = (await eventsIn(redis)).flatMap((event) =>
      'emailId' in event && event.type === 'email.outcome_unknown' ? [event.emailId] : [],
    );
    expect(twice.filter((one) => !unknown.includes(one))).toEqual([]);
    expect(unknown.length).toBeLessThanOrEqual(caught);
    expect(posted.filter((to) => sink.handed.get(to) !== 1 && sink.handed.get(to) !== 2)).toEqual([]);
  },
  timeoutMs,
);
