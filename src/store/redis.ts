/** Connections to Redis and the way scripts are run on them. */
import { createHash } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import { inPlainWords } from '../domain/tls-trouble.ts';
import { ScriptCommand } from './script-command.ts';

/** How a connection waits while Redis is away. */
export type RedisPatience =
  /** Commands fail at once, so that a request can be answered 503. */
  | 'fail_fast'
  /** Commands wait until Redis is back: for workers, which cannot work without it. */
  | 'wait';

/**
 * A queue has a connection of its own. Each pipeline loads all scripts that its connection knows, and BullMQ adds 60 scripts (30 µs per
 * pipeline). BullMQ pipelines by itself where that helps.
 */
export type RedisUse = 'store' | 'queue';

const connectTimeoutMs = 5_000;
const commandTimeoutMs = 5_000;
const longestReconnectWaitMs = 1_000;
/**
 * A server that leaves a command without an answer for this long is gone, even if the connection looks open: TCP notices a vanished host only
 * after a quarter of an hour. Longer than any command of ours or of BullMQ blocks (10 s).
 */
const usualSilenceMs = 20_000;
/** A server that takes no more writes may have been replaced: at most this often, a new connection finds out. */
const reconnectAtMostEveryMs = 5_000;

const { signal: never } = new AbortController();

/** Where Redis is, and how to know that it is the right one. */
type RedisPlace = {
  /** `redis://` or `rediss://`, with user, password and the number of a database; or `unix:///path`, the same as `?db=`. */
  readonly url: string;
  /** The authorities to trust with `rediss://`, in PEM; undefined for the public ones. */
  readonly ca?: string | undefined;
};

type RedisTerms = {
  /** Ends the connection and every wait on it. */
  readonly cut?: AbortSignal;
  readonly use?: RedisUse;
  /** Its name in `CLIENT LIST`. */
  readonly name?: string;
  readonly silenceMs?: number;
  /** Called when the server refuses a write because it takes none now, though it has room: every few seconds at most. */
  readonly onWriteRefused?: () => void;
};

/** No server answers at the address of Redis yet. A wrong password or certificate is another error, because waiting does not help there. */
export class RedisAwayError extends Error {}

const awayMessage =
  /ECONN(?:REFUSED|RESET|ABORTED)|ENOENT|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET|Connection is closed|network socket disconnected|(?:Command|Socket) time(?:d )?out/;

/**
 * Opens a connection and waits until it is ready, however long Redis loads its data.
 * @throws when Redis cannot be reached now: RedisAwayError when it may be later
 */
export async function openRedis(
  { url, ca }: RedisPlace,
  patience: RedisPatience,
  {
    cut = never,
    use = 'store',
    name = 'postrider',
    silenceMs = usualSilenceMs,
    onWriteRefused = () => {},
  }: RedisTerms = {},
): Promise<Redis> {
  const options = {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    // A disconnect from a server that has already gone would keep the process alive for this long (ioredis: 2 s).
    disconnectTimeout: 100,
    connectionName: name,
    // Commands issued in one tick leave in one write and come back in one read.
    enableAutoPipelining: use === 'store',
    enableOfflineQueue: patience === 'wait',
    // A server that does not answer counts as away. Commands of workers wait until Redis is back, however long that takes.
    ...(patience === 'fail_fast' ? { commandTimeout: commandTimeoutMs } : {}),
    maxRetriesPerRequest: patience === 'wait' ? null : 1,
    // While Redis loads its data we ask this often whether it is ready (ioredis: every 10 s).
    maxLoadingRetryTime: longestReconnectWaitMs,
    retryStrategy: (times: number) => Math.min(times * 50, longestReconnectWaitMs),
    socketTimeout: silenceMs,
    reconnectOnError: leaveReplica(onWriteRefused),
  } satisfies RedisOptions;
  // With TLS options ioredis would speak TLS to a plain server as well, and wait for its answer for ever.
  const isTls = ca !== undefined && new URL(url).protocol === 'rediss:';
  const redis = url.startsWith('unix://')
    ? new Redis({ ...options, ...socketOptions(url) })
    : new Redis(url, { ...options, ...(isTls ? { tls: { ca } } : {}) });
  // Without a listener a lost connection would end the process; every command reports its own failure.
  let reason: Error | undefined;
  redis.on('error', (error) => {
    reason = error;
  });
  const end = () => {
    redis.options.retryStrategy = () => null;
    // Between two tries ioredis would leave waiting commands without an answer for ever, so the next try is the last.
    if (redis.status !== 'reconnecting') redis.disconnect();
  };
  cut.addEventListener('abort', end, { once: true });
  redis.once('end', () => cut.removeEventListener('abort', end));
  if (cut.aborted) throw new Error('Redis is not waited for any more');
  await redis.connect().catch((error: Error) => {
    redis.disconnect();
    // The reason is worth more than the message that the connection was closed.
    const { message } = reason ?? error;
    const Kind = awayMessage.test(message) ? RedisAwayError : Error;
    const advice = ca === undefined && /certificate/.test(message) ? '. Set REDIS_CA to the certificate to trust' : '';
    throw new Kind(`Redis at ${placeOf(url)} cannot be reached: ${inPlainWords(message)}${advice}`, { cause: error });
  });
  // When the server refuses the database, ioredis silently stays in database 0.
  const { db = 0 } = redis.options;
  if (db === 0) return redis;
  await redis.select(db).catch((error: Error) => {
    redis.disconnect();
    throw new Error(`Redis at ${placeOf(url)} has no such database: ${error.message}`, { cause: error });
  });
  return redis;
}

/** Whether no server answers: no connection could be made, or a command on an open one got no answer. */
export function isRedisAway(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return error instanceof RedisAwayError || troubleNames.has(error.name) || unanswered.test(error.message);
}

const unanswered = /Command timed out|Connection is closed|Stream isn't writeable/;

/** After a failover the old primary may go on as a replica and keep its connections. A new connection reaches the new primary. */
function leaveReplica(onWriteRefused: () => void): (error: Error) => boolean {
  let isResting = false;
  return ({ message }) => {
    const [, why] = takesNoWrites.exec(message) ?? [];
    if (isResting || why === undefined) return false;
    isResting = true;
    setTimeout(() => {
      isResting = false;
    }, reconnectAtMostEveryMs).unref();
    onWriteRefused();
    return why === 'READONLY';
  };
}

/** A replica; one that cannot save or write its append-only file; one with too few replicas. */
const takesNoWrites = /(?:^|: -)(READONLY|MISCONF|NOREPLICAS)\b/;

/** Asks whichever server a new connection leads to, which may be another than that of `redis`. */
export async function askAnew<T>(redis: Redis, ask: (fresh: Redis) => Promise<T>): Promise<T> {
  const fresh = redis.duplicate({ retryStrategy: () => null });
  // The caller gets the error from its own command.
  fresh.on('error', () => {});
  try {
    await fresh.connect();
    return await ask(fresh);
  } finally {
    fresh.disconnect();
  }
}

/** ioredis reads user, password and database only from URLs for TCP. */
function socketOptions(text: string) {
  const { pathname, username, password, searchParams } = new URL(text);
  return {
    path: decodeURIComponent(pathname),
    db: Number(searchParams.get('db') ?? 0),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
  };
}

/**
 * Runs a blocking command on a connection of its own. `stop` ends the wait and the connection, also during a reconnect, when ioredis would
 * leave the command without an answer for ever. @returns null when it was stopped
 */
export async function waitOn<T>(blocking: Redis, stop: AbortSignal, command: () => Promise<T>): Promise<T | null> {
  if (stop.aborted) return null;
  const ended = Promise.withResolvers<null>();
  const end = () => {
    blocking.disconnect();
    ended.resolve(null);
  };
  stop.addEventListener('abort', end, { once: true });
  try {
    return await Promise.race([command(), ended.promise]);
  } finally {
    stop.removeEventListener('abort', end);
  }
}

/** Whether Redis is away, starting, full or read-only: this is temporary, and no request or email is at fault. */
export function isRedisTrouble(error: unknown): boolean {
  return redisTroubleOf(error) !== null;
}

/** The kind of such an error, such as `OOM`, whatever script or command met it; null for any other error. */
export function redisTroubleOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if (troubleNames.has(error.name)) return error.name;
  return troubleMessage.exec(error.message)?.[0].replace(/^: -/, '') ?? null;
}

const troubleNames = new Set(['MaxRetriesPerRequestError', 'AbortError']);
/** Redis before 7 puts the error of a command in a script into its own sentence: `… @user_script: 5: -OOM command not allowed`. */
const troubleMessage =
  /(?:^|: -)(?:LOADING|OOM|EXECABORT|READONLY|BUSY|MASTERDOWN|NOAUTH|WRONGPASS|NOPERM|NOREPLICAS|MISCONF|CLUSTERDOWN|TRYAGAIN)\b|Command timed out|Connection is closed|Stream isn't writeable|ECONNREFUSED|ECONNRESET|EPIPE|ENOENT/;

/** Only the address of a URL: any other part may hold a secret. */
export function placeOf(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

type Argument = string | number | Buffer;

/**
 * A Lua script, run by its hash and loaded on first use. One script is one atomic step.
 * @param way `bytes` returns the answer as bytes; `at_once` is for commands that are grouped already and need not wait for others
 */
export function script(
  lua: string,
  way: keyof typeof ways = 'usual',
): (redis: Redis, keys: readonly string[], args: readonly Argument[]) => Promise<unknown> {
  const sha = createHash('sha1').update(lua).digest('hex');
  const run = ways[way];
  return async (redis, keys, args) => {
    const given = (script: string) => [script, keys.length, ...keys, ...args];
    try {
      return await run(redis, 'evalsha', given(sha));
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return run(redis, 'eval', given(lua));
    }
  };
}

/** The answer of a script with 1 for yes. */
export function areOnes(answer: unknown): boolean[] {
  return (answer as number[]).map((one) => one === 1);
}

type Run = (redis: Redis, command: 'eval' | 'evalsha', args: Argument[]) => Promise<unknown>;

/** Arguments are passed as one list: spread over a call, those of a large batch would overflow the stack. */
const ways = {
  usual: (redis, command, args) => redis.call(command, args),
  at_once: (redis, command, args) =>
    redis.sendCommand(new ScriptCommand(command, args, { replyEncoding: 'utf8' })) as Promise<unknown>,
  /** `callBuffer` loses the command's name when pipelined automatically (ioredis 6.0). */
  bytes: (redis, command, args) =>
    redis.sendCommand(new ScriptCommand(command, args, { replyEncoding: null })) as Promise<unknown>,
} satisfies Record<string, Run>;
