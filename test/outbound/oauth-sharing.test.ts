/** Access tokens over a fleet: one process asks, the others take what it was given, nobody what a server refused; and who has no turn blames nobody. */

import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import type { Auth } from '../../src/domain/transport-plan.ts';
import type { AccessTokens } from '../../src/outbound/oauth-asking.ts';
import { accountOf, openTokenBook, type TokenBook } from '../../src/outbound/oauth-tokens.ts';
import { openTokenKeeper } from '../../src/outbound/refresh-tokens.ts';
import { makeVerify } from '../../src/outbound/smtp-verify.ts';
import { keys } from '../../src/store/keys.ts';
import { openAccessTokens, openRefreshTokens } from '../../src/store/oauth-tokens.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, settingsTo, transportTo } from '../support/smtp-transport.ts';
import { give, openTokenServer } from '../support/token-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
});
afterAll(() => opened.disposeAsync());
beforeEach(() => redis.flushall());

type OAuth = Extract<Auth, { kind: 'oauth2' }>;

/** A token server that gives `a1`, `a2` and so on, always for the same refresh token, beside a mail server that takes those in `good`. */
async function openWorld(more: Readonly<Record<string, unknown>> = {}) {
  await using stack = new AsyncDisposableStack();
  const good = new Set(['a1', 'a2', 'a3']);
  const tokens = stack.use(
    await openTokenServer((response, count) =>
      give(response, { access_token: `a${count}`, expires_in: 3_600, ...more }),
    ),
  );
  const login = { methods: ['XOAUTH2'], user: 'u', takesToken: (token: string) => good.has(token) } as const;
  const smtp = stack.use(await openScriptedSmtp(undefined, { login }));
  const base = { kind: 'oauth2', user: 'u', clientId: 'id', clientSecret: 's', refreshToken: 'r0' } as const;
  const auth: OAuth = { ...base, tokenUrl: tokens.url };
  const all = stack.move();
  return { good, tokens, smtp, auth, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

const away = () => Promise.reject(new Error('away'));

type Terms = { readonly secretKey?: Buffer; readonly known?: Partial<AccessTokens>; now?(): number };

/** The book of a process. */
function startProcess({ secretKey = Buffer.alloc(32, 7), known = {}, now = () => 0 }: Terms = {}): TokenBook {
  const newIv = () => randomBytes(12);
  const terms = { onTrouble() {}, onStored() {}, now };
  const refreshTokens = opened.use(openTokenKeeper(openRefreshTokens(redis, secretKey, newIv), terms));
  return openTokenBook(
    { refreshTokens, accessTokens: { ...openAccessTokens(redis, secretKey, newIv), ...known } },
    { now, date: Date.now },
  );
}

/** As a process does that died meanwhile. */
const holdTurn = (auth: OAuth) => redis.set(keys.refreshTurn(accountOf(auth).id), 'another');

describe('an access token', () => {
  it('is asked for once, however many processes want one at the same time', async () => {
    await using world = await openWorld();
    const fleet = Array.from({ length: 20 }, () => startProcess());
    const got = await Promise.all(fleet.map((tokensOf) => tokensOf(world.auth).get()));
    expect(got.map(({ value }) => value)).toEqual(Array(20).fill('a1'));
    expect(world.tokens.forms).toHaveLength(1);
    expect(await redis.keys(keys.refreshTurn('*'))).toEqual([]);
  });

  it('is asked for once as well where a new refresh token comes with it, and that is stored', async () => {
    await using world = await openWorld({ refresh_token: 'r1' });
    const fleet = Array.from({ length: 6 }, () => startProcess());
    await Promise.all(fleet.map((tokensOf) => tokensOf(world.auth).get()));
    expect(world.tokens.forms).toHaveLength(1);
    await redis.del(keys.accessToken(accountOf(world.auth).id));
    await startProcess()(world.auth).get();
    expect(world.tokens.forms[1]).toMatchObject({ refresh_token: 'r1' });
  });

  it('that another process was given is used for no longer than it is good', async () => {
    await using world = await openWorld();
    await startProcess()(world.auth).get();
    let at = 0;
    const tokens = startProcess({ now: () => at })(world.auth);
    expect(await tokens.get()).toEqual({ value: 'a1', isKept: true });
    at = 3_540_000;
    await redis.del(keys.accessToken(accountOf(world.auth).id));
    expect(await tokens.get()).toEqual({ value: 'a2', isKept: false });
  });

  it('is of its account alone, and of its SECRET_KEY', async () => {
    await using world = await openWorld();
    const values = [];
    for (const [auth, secretKey] of [
      [world.auth, Buffer.alloc(32, 7)],
      [{ ...world.auth, refreshToken: 'other' }, Buffer.alloc(32, 7)],
      [world.auth, Buffer.alloc(32, 8)],
    ] as const)
      values.push((await startProcess({ secretKey })(auth).get()).value);
    expect(values).toEqual(['a1', 'a2', 'a3']);
  });

  it('is each its own while Redis does not share it', async () => {
    await using world = await openWorld();
    const known = { shared: away, share: away, drop: away };
    const [one, two] = [startProcess({ known })(world.auth), startProcess({ known })(world.auth)];
    expect([(await one.get()).value, (await two.get()).value, (await one.get()).value]).toEqual(['a1', 'a2', 'a1']);
    expect((await one.renew('a1')).value).toBe('a3');
  });
});

describe('an access token that the mail server refuses', () => {
  it('is renewed by one process, and the others take the new one', async () => {
    await using world = await openWorld();
    const fleet = Array.from({ length: 4 }, () =>
      transportTo(world.smtp.port, { auth: world.auth, messagesPerConnection: 1 }, { tokensOf: startProcess() }),
    );
    for (const transport of fleet) opened.use(transport);
    const sendAll = async () => (await Promise.all(fleet.map((transport) => send(transport)))).map(({ kind }) => kind);
    expect(await sendAll()).toEqual(Array(4).fill('answered'));
    world.good.delete('a1');
    expect(await sendAll()).toEqual(Array(4).fill('answered'));
    expect(world.tokens.forms).toHaveLength(2);
  });

  it('is renewed also by a process that took it from another, and only once', async () => {
    await using world = await openWorld();
    await startProcess()(world.auth).get();
    world.good.delete('a1');
    await using transport = transportTo(world.smtp.port, { auth: world.auth }, { tokensOf: startProcess() });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect((await startProcess()(world.auth).get()).value).toBe('a2');
  });

  it('as well as the one that another was given meanwhile, has one asked for', async () => {
    await using world = await openWorld();
    const [one, two] = [startProcess(), startProcess()];
    await using transport = transportTo(
      world.smtp.port,
      { auth: world.auth, messagesPerConnection: 1 },
      { tokensOf: one },
    );
    await send(transport);
    await two(world.auth).get();
    await two(world.auth).renew('a1');
    world.good.clear();
    world.good.add('a3');
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(world.tokens.forms).toHaveLength(3);
  });

  it('is taken by no process though it was just given, and renewed at most once for each login', async () => {
    await using world = await openWorld();
    world.good.clear();
    world.good.add('a2');
    await using transport = transportTo(world.smtp.port, { auth: world.auth }, { tokensOf: startProcess() });
    expect(await send(transport)).toMatchObject({ kind: 'transport_fault', cause: 'login' });
    expect(world.tokens.forms).toHaveLength(1);
    expect(await redis.exists(keys.accessToken(accountOf(world.auth).id))).toBe(0);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(world.smtp.lines.filter((line) => line.startsWith('AUTH'))).toHaveLength(2);
  });

  it('is taken by no process while a new one is requested', async () => {
    await using world = await openWorld();
    const tokens = startProcess()(world.auth);
    await tokens.get();
    await holdTurn(world.auth);
    const renewing = tokens.renew('a1');
    await until('it to wait for its turn', () => tokens.awaits !== null);
    expect(await redis.exists(keys.accessToken(accountOf(world.auth).id))).toBe(0);
    await redis.del(keys.refreshTurn(accountOf(world.auth).id));
    expect(await renewing).toEqual({ value: 'a2', isKept: false });
  });

  it('is not taken again where Redis did not drop it', async () => {
    await using world = await openWorld();
    const tokens = startProcess({ known: { drop: away } })(world.auth);
    expect((await tokens.get()).value).toBe('a1');
    expect(await tokens.renew('a1')).toEqual({ value: 'a2', isKept: false });
  });
});

describe('a process without a turn', () => {
  it('withholds its mail and finds no fault with the transport, as soon as it gives up', async () => {
    await using world = await openWorld();
    await holdTurn(world.auth);
    let at = 0;
    await using transport = transportTo(
      world.smtp.port,
      { auth: world.auth },
      { tokensOf: startProcess({ now: () => (at += 20_000) }), waitMs: 60_000 },
    );
    expect(await send(transport)).toEqual({ kind: 'withheld' });
    at = 0;
    expect(await transport.probe()).toEqual({ kind: 'delayed', detail: inWords(world.auth) });
    expect(world.tokens.forms).toEqual([]);
    await redis.del(keys.refreshTurn(accountOf(world.auth).id));
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
  });

  it('finds no fault either when the mail server ends a connection that waits', async () => {
    await using world = await openWorld();
    await holdTurn(world.auth);
    const tokensOf = startProcess();
    await using transport = transportTo(world.smtp.port, { auth: world.auth }, { tokensOf });
    const probed = transport.probe();
    await until('it to wait for its turn', () => tokensOf(world.auth).awaits !== null);
    world.smtp.interrupt('drop');
    expect(await probed).toEqual({ kind: 'delayed', detail: inWords(world.auth) });
  });

  it('says so in plain words in a verify, also when that takes too long', async () => {
    await using world = await openWorld();
    await holdTurn(world.auth);
    const settings = settingsTo(world.smtp.port, { auth: world.auth });
    const { signal } = new AbortController();
    const told = { cause: 'connect', reason: inWords(world.auth) };
    let at = 0;
    const patient = makeVerify(signal, { tokensOf: startProcess({ now: () => (at += 20_000) }), now: monotonicNow });
    expect((await patient(settings)).fault).toEqual(told);
    const hasty = makeVerify(signal, { tokensOf: startProcess(), timeoutMs: 500, now: monotonicNow });
    expect((await hasty(settings)).fault).toEqual(told);
  });

  it('does not wait for a turn while it has a token, and takes a token that comes meanwhile', async () => {
    await using world = await openWorld();
    await holdTurn(world.auth);
    const tokens = startProcess()(world.auth);
    const waiting = tokens.get();
    await until('it to wait for its turn', () => tokens.awaits !== null);
    await openAccessTokens(redis, Buffer.alloc(32, 7), () => randomBytes(12)).share(
      accountOf(world.auth).id,
      'a3',
      60_000,
    );
    expect(await waiting).toEqual({ value: 'a3', isKept: true });
    expect(tokens.awaits).toBeNull();
    expect(world.tokens.forms).toEqual([]);
  });
});

const inWords = ({ tokenUrl }: OAuth) =>
  `No access token from ${new URL(tokenUrl).host}: other processes ask for theirs, and take their time`;
