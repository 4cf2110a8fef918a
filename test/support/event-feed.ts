/** The event feed over a real Redis and real HTTP, in this process: a server of its own, and events put straight into the log. */
import type { Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { type ApiKey, type ApiKeyRequest, adminKey, hashToken, makeApiKey } from '../../src/domain/api-key.ts';
import type { EmailFacts } from '../../src/domain/email.ts';
import type { EmailEvent, OutboxEvent, TransportEvent } from '../../src/domain/event.ts';
import type { FeedItem } from '../../src/domain/event-feed.ts';
import { eventId, makeId } from '../../src/domain/id.ts';
import type { FollowDeps } from '../../src/http/events/follow.ts';
import { usualBounds } from '../../src/http/events/streams.ts';
import { eventRoutes } from '../../src/http/events.ts';
import { readEvents } from '../../src/pipeline/read-events.ts';
import { trimBefore } from '../../src/store/event-retention.ts';
import { keys } from '../../src/store/keys.ts';
import { packEvent, packFacts, packPlainEvent } from '../../src/store/record.ts';
import { isRedisTrouble, openRedis, script } from '../../src/store/redis.ts';
import { openStore } from '../../src/store/store.ts';
import type { Gate } from './gate.ts';
import { buildTestServer } from './http-server.ts';
import { openTestRedis, type TestRedis } from './redis.ts';
import { storedEmail } from './requests.ts';

export type FeedWorld = AsyncDisposable & {
  readonly url: string;
  readonly server: TestRedis;
  readonly direct: Redis;
  /** The server's ends of its connections, in the order they were made. */
  readonly sockets: readonly Socket[];
  /** Times the log was read, events read of it, those of them that were rendered, and the troubles that were reported. */
  readonly seen: { reads: number; read: number; rendered: number; readonly troubles: unknown[] };
  /** Puts events into the log, and answers their cursors. */
  add(...events: readonly OutboxEvent[]): Promise<string[]>;
  keep(facts: Partial<EmailFacts> & Pick<EmailFacts, 'id'>): Promise<void>;
  trim(before: string): Promise<number>;
  /** @param maker the admin key, when left out */
  makeKey(limits: Partial<ApiKeyRequest>, maker?: ApiKey): Promise<MadeKey>;
  stop(): Promise<void>;
};

export type MadeKey = { readonly token: string; readonly key: ApiKey; revoke(): Promise<boolean> };

const trim = script(`${trimBefore} return trimBefore(ARGV[1])`);

const at = Date.parse('2026-11-24T09:30:00Z');

export const emailIdOf = (n: number) => makeId('em', at, Buffer.alloc(10, n));

export function eventOf(emailId: string, sequence: number, given: Partial<EmailEvent> = {}): EmailEvent {
  const usual = { to: ['b@example.org'], attempt: 0, transport: null, smtp: null, reason: null };
  return { id: eventId(emailId, sequence), type: 'email.queued', at, emailId, sequence, ...usual, ...given };
}

export function transportEvent(n: number): TransportEvent {
  const fields = {
    type: 'transport.degraded',
    at,
    transport: 'ses',
    reason: 'ECONNREFUSED',
    cause: 'connect',
  } as const;
  return { id: `ev_${makeId('rq', at, Buffer.alloc(10, n)).slice('rq_'.length)}`, ...fields };
}

/** @param gate holds what was read of the log, before it is told */
export async function openFeedWorld(
  given: Partial<FollowDeps & typeof usualBounds> = {},
  gate?: Gate,
): Promise<FeedWorld> {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await openTestRedis());
  const direct = server.connect();
  direct.on('error', () => {});
  const redis = opened.adopt(await openRedis({ url: server.url }, 'fail_fast'), (client) => client.disconnect());
  const store = await openStore(redis, Buffer.alloc(32), () => Buffer.alloc(12));
  const { emails, eventFeed, apiKeys, rateLimits } = store;
  const seen = { reads: 0, read: 0, rendered: 0, troubles: [] as unknown[] };
  const reading = { emails, eventFeed };
  const counted = ({ facts, ...item }: FeedItem): FeedItem => {
    seen.read += 1;
    return {
      ...item,
      get facts() {
        seen.rendered += 1;
        return facts;
      },
    };
  };
  const routes = eventRoutes(
    {
      ...{ emails, eventFeed, apiKeys },
      readEvents: async (...args) => {
        seen.reads += 1;
        const past = await readEvents(reading, ...args);
        await gate?.pass();
        return past.kind === 'gone' ? past : { ...past, items: past.items.map(counted) };
      },
      onTrouble: (_, error) => seen.troubles.push(error),
      heartbeatMs: 15_000,
      now: () => Date.now(),
      ...given,
    },
    { ...usualBounds, ...given },
  );
  const api = await buildTestServer({
    ...{ api: [routes], apiKeys, rateLimits, isStoreTrouble: isRedisTrouble },
    onBug: (error) => seen.troubles.push(error),
    now: () => Date.now(),
  });
  opened.defer(() => api.close());
  const sockets: Socket[] = [];
  api.server.on('connection', (socket: Socket) => sockets.push(socket));
  // A reader that a failed test left behind would keep it from closing.
  opened.defer(() => {
    for (const socket of sockets) socket.destroy();
  });
  const url = await api.listen({ port: 0, host: '127.0.0.1' });
  let made = 0;
  const all = opened.move();
  return {
    ...{ url, server, direct, sockets, seen },
    async add(...events) {
      const writes = direct.pipeline();
      for (const event of events)
        writes.xadd(keys.outbox, '*', 'event', 'emailId' in event ? packEvent(event) : packPlainEvent(event));
      return ((await writes.exec()) ?? []).map(([, cursor]) => String(cursor));
    },
    async keep(facts) {
      await direct.hset(keys.email(facts.id), 'facts', packFacts(storedEmail([], { facts }).facts));
    },
    trim: async (before) => Number(await trim(direct, [keys.outbox, keys.outboxTrimmed], [before])),
    async makeKey(limits, maker = adminKey) {
      made += 1;
      const token = `pr_of_this_test_${made}`;
      const id = makeId('ak', at, Buffer.alloc(10, made));
      const key = makeApiKey({ name: 'k', ...limits }, { id, now: at, maker });
      await apiKeys.add(key, hashToken(token));
      return { token, key, revoke: () => apiKeys.revoke(id) };
    },
    stop: () => api.close(),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
