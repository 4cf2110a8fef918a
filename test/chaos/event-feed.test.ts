/** Whoever reads only the feed, by asking or live, misses nothing and is told nothing twice, whatever is killed meanwhile. */
import { expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { type EventStream, readStream } from '../support/event-stream.ts';
import { startPatiently } from '../support/fleet.ts';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** The whole of it takes a while on a busy machine. */
const longMs = 55_000;

type Told = { readonly id: string; readonly emailId: unknown; readonly sequence: unknown };
type FeedEvent = { readonly id: string; readonly data: { readonly email_id: string; readonly sequence: number } };
type Page = { readonly next: string | null; readonly data: readonly FeedEvent[] };

const toTold = ({ id, data }: FeedEvent): Told => ({ id, emailId: data.email_id, sequence: data.sequence });

/** Asks for page after page until it has so many, and for the same one again when it was not answered. */
async function poll(api: () => Postrider, count: number): Promise<Told[]> {
  const told: Told[] = [];
  let after = '';
  await until(
    'the poller to have all',
    async () => {
      const answer = await api()
        .api('GET', `/v1/events?limit=50${after}`)
        .catch(() => null);
      if (answer?.status !== 200) return false;
      const page = answer.body as unknown as Page;
      told.push(...page.data.map(toTold));
      if (page.next !== null) after = `&after=${page.next}`;
      return told.length >= count;
    },
    () => told.length,
    longMs,
  );
  return told;
}

/** Comes back with its Last-Event-ID whenever its stream has ended. */
async function listen(api: () => Postrider, count: number): Promise<Told[]> {
  const streams: EventStream[] = [];
  const told = () => streams.flatMap(({ events }) => events.map(({ data }) => toTold(data as unknown as FeedEvent)));
  await until(
    'the listener to have all',
    async () => {
      const last = streams.at(-1);
      if (last !== undefined && !last.hasEnded()) return told().length >= count;
      const place = last === undefined ? '0-0' : last.lastEventId();
      const next = await readStream(api().url, { 'last-event-id': place }).catch(() => null);
      if (next !== null) streams.push(next);
      return false;
    },
    () => told().length,
    longMs,
  );
  expect(streams.length).toBeGreaterThan(2);
  streams.at(-1)?.leave();
  return told();
}

it('2,000 events reach a poller and a listener once each and in order, over kills of the API and of Redis', async () => {
  await using redis = await openTestRedis();
  await using opened = new AsyncDisposableStack();
  const direct = redis.connect();
  direct.on('error', () => {});
  const env: Env = { REDIS_URL: redis.url, SMTP_URL: 'smtp://127.0.0.1:9?tls=none' };
  await using _worker = await startPostrider({ ...env, ROLES: 'worker' });
  let api = await startPostrider({ ...env, ROLES: 'api' });
  opened.defer(() => api[Symbol.asyncDispose]());
  const restartApi = async () => {
    api.kill('SIGKILL');
    await api.ended;
    api = await startPatiently('the API', { ...env, ROLES: 'api' });
  };

  // Queued, sent and delivered: three events each.
  const [batches, size] = [7, 100];
  const emails = Array.from({ length: size }, (_, n) => ({
    ...{ from: 'a@example.com', to: `delivered+${n}@sandbox.invalid`, subject: 'Hi', text: 'Hello' },
    external_id: `order-${n}`,
  }));
  const count = 3 * batches * size;
  const reading = Promise.all([poll(() => api, count), listen(() => api, count)]);
  for (let batch = 0; batch < batches; batch++) {
    const send = () => api.api('POST', '/v1/emails/batch', emails, { 'idempotency-key': `batch-${batch}` });
    await until('the batch to be taken', () =>
      send().then(
        ({ status }) => status === 202,
        () => false,
      ),
    );
    if (batch % 3 === 1) await restartApi();
    if (batch === 3) {
      await redis.stop();
      await redis.start();
    }
  }
  const [polled, heard] = await reading;
  const log = await direct.xrange(keys.outbox, '-', '+');
  expect(log).toHaveLength(count);
  expect(new Set(polled.map(({ id }) => id)).size).toBe(count);
  expect(heard).toEqual(polled);
  for (const [emailId, told] of Map.groupBy(polled, (event) => event.emailId))
    expect(
      told.map(({ sequence }) => sequence),
      String(emailId),
    ).toEqual([1, 2, 3]);
});
