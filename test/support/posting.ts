/** notify, forward and post over a real Redis and real sockets, with a clock of the fleet that the test moves, and the real one of the machine. */

import { randomBytes } from 'node:crypto';
import { monotonicNow } from '../../src/chance.ts';
import type { OutboxEvent } from '../../src/domain/event.ts';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import type { PostReport } from '../../src/domain/post.ts';
import { makeWebhook, type Webhook, webhookRequest } from '../../src/domain/webhook.ts';
import { webhookSecret } from '../../src/domain/webhook-signature.ts';
import { openWebhookClient } from '../../src/outbound/webhook-client.ts';
import { buildPayloads } from '../../src/pipeline/build-payloads.ts';
import { notify } from '../../src/pipeline/notify.ts';
import { post } from '../../src/pipeline/post.ts';
import { postDue, type Rounds } from '../../src/pipeline/post-due.ts';
import { replay } from '../../src/pipeline/replay.ts';
import { openDeliveries } from '../../src/store/deliveries.ts';
import { openEmails } from '../../src/store/emails.ts';
import { openEvents } from '../../src/store/events.ts';
import { keys } from '../../src/store/keys.ts';
import { openOutbox } from '../../src/store/outbox.ts';
import { openPosts } from '../../src/store/posts.ts';
import { packEvent, packPlainEvent } from '../../src/store/record.ts';
import { openWebhooks } from '../../src/store/webhooks.ts';
import type { TestRedis } from './redis.ts';

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

const newId = (kind: IdPrefix) => makeId(kind, Date.now(), randomBytes(10));

export type Posting = Awaited<ReturnType<typeof openPosting>>;

/** The schedule is the one of the settings. */
const policy = {
  scheduleMs: [5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour],
  disableAfterMs: 5 * day,
};

/** One worker's part; several may share one Redis. */
export async function openPosting(server: TestRedis, options: { deadlineMs?: number; leaseMs?: number } = {}) {
  await using opened = new AsyncDisposableStack();
  const connect = () => server.connect({ enableAutoPipelining: true });
  const redis = connect();
  const webhooks = openWebhooks(redis, Buffer.alloc(32), () => randomBytes(12));
  const outbox = opened.use(await openOutbox(redis, connect(), newId('rq'), 60_000));
  const { deadlineMs = 15_000, leaseMs = 30_000 } = options;
  const client = opened.use(openWebhookClient({ allowPrivateNetworks: true, deadlineMs, now: monotonicNow }));
  const [emails, deliveries, posts] = [openEmails(redis), openDeliveries(redis), openPosts(redis)];
  const reports: PostReport[] = [];
  const unreadable: string[] = [];
  const rounds: Rounds = new Map();
  let now = Date.now();
  const clock = { newId, now: () => now, ownNow: Date.now, rand: () => 0 };
  const events = openEvents(redis);
  const stages = {
    outbox,
    webhooks,
    emails,
    deliveries,
    posts,
    events,
    ...clock,
    buildPayloads: buildPayloads.bind(null, { events, emails }),
  };
  const report = (posted: PostReport) => reports.push(posted);
  const onTrouble = (_: string, error: unknown) => {
    throw error;
  };
  const nudge = { nudge() {}, wait: async () => {} };
  const deps = {
    ...stages,
    rounds,
    inHand: { posts: 0 },
    asked: { posts: 0 },
    concurrency: 50,
    leaseMs,
    longestWaitMs: 1.1 * day,
    nudge,
    onTrouble,
  };
  const posting = { ...deps, post: post.bind(null, { ...stages, client, policy, report }) };
  const stop = new AbortController();
  const roundsEnded = () => Promise.all([...rounds.values()].map(({ ended }) => ended));
  /** A look at what is due, until the rounds that it begins are over. */
  async function forwardAll(): Promise<void> {
    await postDue(posting, stop.signal);
    await roundsEnded();
  }
  const all = opened.move();

  return {
    ...{ redis, webhooks, outbox, posts, deliveries, emails, reports, unreadable, roundsEnded, newId },
    get now() {
      return now;
    },
    pass(ms: number) {
      now += ms;
    },
    /** To the time when something is due next; stays where it is when nothing is. */
    async passToNext(): Promise<void> {
      const [, at] = await redis.zrange(keys.postsDue, '0', '0', 'WITHSCORES');
      if (at !== undefined) now = Math.max(now, Math.ceil(Number(at)));
    },
    async addWebhook(given: object): Promise<Webhook> {
      const request = webhookRequest.parse({ events: ['email.sent'], ...given });
      const made = { id: newId('wh'), createdAt: now, secret: webhookSecret(randomBytes(32)) };
      const webhook = makeWebhook(request, made);
      await webhooks.add(webhook);
      return webhook;
    },
    /** So many events, each of an email of its own that has no record. @returns their ids */
    async emit(count: number, event: Partial<OutboxEvent> = {}): Promise<string[]> {
      const ids: string[] = [];
      const write = redis.pipeline();
      for (let n = 0; n < count; n++) {
        const emailId = newId('em');
        const told = { id: '', type: 'email.sent', at: now, emailId, sequence: 2, to: ['b@x.co'] } as const;
        const more = { attempt: 1, transport: null, smtp: null, reason: null };
        ids.push(`ev_${emailId.slice(3)}_2`);
        write.xadd(
          keys.outbox,
          '*',
          'event',
          packEvent({ ...told, ...more, ...event } as Parameters<typeof packEvent>[0]),
        );
      }
      await write.exec();
      return ids;
    },
    emitPlain: (event: Parameters<typeof packPlainEvent>[0]) =>
      redis.xadd(keys.outbox, '*', 'event', packPlainEvent(event)),
    replay: replay.bind(null, stages),
    /** Everything that is in the outbox is handed to its endpoints. */
    async notifyAll(): Promise<void> {
      const isOneLeft = async () => {
        const [group = []] = (await redis.xinfo('GROUPS', keys.outbox)) as string[][];
        const read = group[group.indexOf('last-delivered-id') + 1];
        return (await redis.xrange(keys.outbox, `(${read}`, '+', 'COUNT', 1)).length > 0;
      };
      const notifying = {
        ...stages,
        reportUnreadable: (places: readonly string[]) => unreadable.push(...places),
        wake() {},
      };
      while (await isOneLeft()) {
        await notify(notifying, stop.signal);
        now += 1;
      }
    },
    /** One look at what is due; the rounds it begins go on by themselves. */
    look: () => postDue(posting, stop.signal),
    forwardAll,
    /** Goes on for so long, a step at a time. */
    async goOn(ms: number, stepMs: number): Promise<void> {
      for (let passed = 0; passed < ms; passed += stepMs) {
        now += stepMs;
        await forwardAll();
      }
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
