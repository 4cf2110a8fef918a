/** One book of tokens: whoever logs in with an account shares them, and a new refresh token is what every process goes by, over restarts too. */

import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import type { Auth } from '../../src/domain/transport-plan.ts';
import { accountOf, openTokenBook, type TokenBook } from '../../src/outbound/oauth-tokens.ts';
import { openTokenKeeper, type StoredTokens } from '../../src/outbound/refresh-tokens.ts';
import { makeVerify } from '../../src/outbound/smtp-verify.ts';
import { keys } from '../../src/store/keys.ts';
import { openRefreshTokens } from '../../src/store/oauth-tokens.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, settingsTo, transportTo } from '../support/smtp-transport.ts';
import { give, openTokenServer } from '../support/token-server.ts';
import { forgetful } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
});
afterAll(() => opened.disposeAsync());
beforeEach(() => redis.flushall());

const secretKey = Buffer.alloc(32, 7);
const newIv = () => randomBytes(12);
const stored = () => openRefreshTokens(redis, secretKey, newIv);

type OAuth = Extract<Auth, { kind: 'oauth2' }>;

/** A token server that takes a refresh token once, and gives the next one in its place: `r0`, `r1` and so on. */
async function openRotating() {
  let good = 0;
  const server = await openTokenServer((response) => {
    const { refresh_token: used } = server.forms.at(-1) ?? {};
    if (used !== `r${good}`) return give(response, { error: 'invalid_grant' }, 400);
    good += 1;
    give(response, { access_token: `a${good}`, expires_in: 3_600, refresh_token: `r${good}` });
  });
  const base = { kind: 'oauth2', user: 'u', clientId: 'id', clientSecret: 's', refreshToken: 'r0' } as const;
  const auth: OAuth = { ...base, tokenUrl: server.url };
  const used = () => server.forms.map(({ refresh_token }) => refresh_token);
  return { auth, used, url: server.url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const silent = { onTrouble() {}, onStored() {} };

/** Access tokens are not shared. */
const keep = () => remember(stored(), () => 0);

function remember(known: StoredTokens, now: () => number) {
  return { ...forgetful, refreshTokens: opened.use(openTokenKeeper(known, { ...silent, now })) };
}

/** A process that shares no access token: what it knows by itself begins anew. Each time it is asked, the token it has is over. */
function startProcess(known: StoredTokens = stored()): (auth: OAuth) => Promise<string> {
  let at = 0;
  const book = openTokenBook(
    remember(known, () => at),
    { now: () => at, date: Date.now },
  );
  return async (auth) => {
    at += 3_600_000;
    return (await book(auth).get()).value;
  };
}

describe('an account', () => {
  it('has the same tokens for its transport, for a transport that replaces it, and for verify', async () => {
    await using tokens = await openRotating();
    const login = { methods: ['XOAUTH2'], user: 'u', takesToken: (token: string) => token === 'a1' } as const;
    await using smtp = await openScriptedSmtp(undefined, { login });
    const tokensOf: TokenBook = openTokenBook(keep(), { now: () => 0, date: Date.now });
    const { auth } = tokens;
    const verify = makeVerify(new AbortController().signal, { tokensOf, now: monotonicNow });
    expect((await verify(settingsTo(smtp.port, { auth }))).fault).toBeNull();
    for (const name of ['one', 'anew']) {
      await using transport = transportTo(smtp.port, { name, auth: { ...auth } }, { tokensOf });
      expect(await send(transport)).toMatchObject({ kind: 'answered' });
    }
    expect(tokens.used()).toEqual(['r0']);
  });

  it('has other tokens than another account, though they share a server', async () => {
    await using tokens = await openRotating();
    const tokensOf = openTokenBook(keep(), { now: () => 0, date: Date.now });
    expect(tokensOf(tokens.auth)).toBe(tokensOf({ ...tokens.auth }));
    expect(tokensOf({ ...tokens.auth, user: 'v' })).not.toBe(tokensOf(tokens.auth));
  });
});

describe('a new refresh token', () => {
  it('is used from then on, by other processes and after a restart as well', async () => {
    await using tokens = await openRotating();
    const [one, two] = [startProcess(), startProcess()];
    expect([await one(tokens.auth), await two(tokens.auth), await one(tokens.auth)]).toEqual(['a1', 'a2', 'a3']);
    expect(await startProcess()({ ...tokens.auth, clientSecret: 'another' })).toBe('a4');
    expect(tokens.used()).toEqual(['r0', 'r1', 'r2', 'r3']);
  });

  it('that another process was given meanwhile is tried where the one at hand is refused', async () => {
    await using tokens = await openRotating();
    const book = stored();
    const one = startProcess(book);
    // It did not wait for its turn, as Redis was away.
    const other = startProcess({ ...book, takeTurn: () => Promise.reject(new Error('away')) });
    // It reads what is stored, and the other is faster.
    const slow = { ...book, newest: (account: string) => book.newest(account).finally(overtake) };
    let isOvertaken = false;
    const overtake = async () => {
      if (isOvertaken) return;
      isOvertaken = true;
      await other(tokens.auth);
    };
    expect(await one(tokens.auth)).toBe('a1');
    expect(await startProcess(slow)(tokens.auth)).toBe('a3');
    expect(tokens.used()).toEqual(['r0', 'r1', 'r1', 'r2']);
  });

  it('that Redis lost, as in a failover, is used by the process that got it, and then by the others again', async () => {
    await using tokens = await openRotating();
    const [one, two] = [startProcess(), startProcess()];
    expect(await one(tokens.auth)).toBe('a1');
    const key = keys.refreshToken(accountOf(tokens.auth).id);
    const before = (await redis.get(key)) ?? '';
    expect(await one(tokens.auth)).toBe('a2');
    await redis.set(key, before);
    expect([await one(tokens.auth), await two(tokens.auth), await one(tokens.auth)]).toEqual(['a3', 'a4', 'a5']);
    expect(tokens.used()).toEqual(['r0', 'r1', 'r2', 'r3', 'r4']);
  });

  it('that Redis lost reaches the others also if the server returns none to replace it', async () => {
    let count = 0;
    await using server = await openTokenServer((response) => {
      count += 1;
      give(response, { access_token: `a${count}`, ...(count > 2 ? {} : { refresh_token: `r${count}` }) });
    });
    const auth: OAuth = {
      kind: 'oauth2',
      user: 'u',
      clientId: 'id',
      clientSecret: 's',
      refreshToken: 'r0',
      tokenUrl: server.url,
    };
    const [one, two] = [startProcess(), startProcess()];
    await one(auth);
    const key = keys.refreshToken(accountOf(auth).id);
    const before = (await redis.get(key)) ?? '';
    await one(auth);
    await redis.set(key, before);
    for (const process of [one, two]) await process(auth);
    expect(server.forms.map(({ refresh_token }) => refresh_token)).toEqual(['r0', 'r1', 'r2', 'r2']);
  });

  it('does not override one that is newly configured', async () => {
    await using tokens = await openRotating();
    expect(await startProcess()(tokens.auth)).toBe('a1');
    const anew = { ...tokens.auth, refreshToken: 'r1' };
    expect(await startProcess()(anew)).toBe('a2');
    await expect(startProcess()({ ...tokens.auth, refreshToken: 'r9' })).rejects.toThrow('invalid_grant');
    expect(tokens.used()).toEqual(['r0', 'r1', 'r9']);
  });

  it('that cannot be stored is used all the same, and stored with the next answer', async () => {
    await using tokens = await openRotating();
    const book = stored();
    let isAway = false;
    const keep: StoredTokens['keep'] = async (...given) => {
      if (isAway) throw new Error('away');
      await book.keep(...given);
    };
    const process = startProcess({ ...book, keep });
    expect(await process(tokens.auth)).toBe('a1');
    isAway = true;
    expect(await process(tokens.auth)).toBe('a2');
    await endTurns();
    expect(await process(tokens.auth)).toBe('a3');
    await endTurns();
    isAway = false;
    expect(await process(tokens.auth)).toBe('a4');
    expect(await startProcess()(tokens.auth)).toBe('a5');
  });

  it('that cannot be read prevents a second use of the one it replaced', async () => {
    await using tokens = await openRotating();
    const newest = async () => {
      throw new Error('away');
    };
    const asked = startProcess({ ...stored(), newest })(tokens.auth);
    await expect(asked).rejects.toThrow('The newest refresh token could not be read');
    expect(tokens.used()).toEqual([]);
  });

  it('is sealed at rest, is not there for another key, and stays for a year from its last use', async () => {
    await stored().keep('account', { token: 'S3cret', at: 1 });
    const [key = ''] = await redis.keys('*');
    expect(await redis.get(key)).not.toContain('S3cret');
    await redis.pexpire(key, 60_000);
    expect(await stored().newest('account')).toEqual({ token: 'S3cret', at: 1 });
    expect(await redis.pttl(key)).toBeGreaterThan(60_000);
    expect(await openRefreshTokens(redis, Buffer.alloc(32, 8), newIv).newest('account')).toBeNull();
    expect(await stored().newest('none')).toBeNull();
  });
});

/** The time of whoever has a turn is over. */
async function endTurns(): Promise<void> {
  for (const key of await redis.keys(keys.refreshTurn('*'))) await redis.pexpire(key, 1);
}

describe('one process at a time', () => {
  it('asks with a refresh token: those that come meanwhile, and share no access token, ask with what it brought', async () => {
    await using tokens = await openRotating();
    const fleet = Array.from({ length: 6 }, () => startProcess());
    const got = await Promise.all(fleet.map((process) => process(tokens.auth)));
    expect(got.toSorted()).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
    expect(tokens.used()).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', 'r5']);
    expect(await redis.keys(keys.refreshTurn('*'))).toEqual([]);
  });

  it('asks, and those with another account do not wait for it', async () => {
    await using tokens = await openRotating();
    const turn = await stored().takeTurn(accountOf(tokens.auth).id, 60_000);
    expect(turn).not.toBeNull();
    await expect(startProcess()({ ...tokens.auth, refreshToken: 'r9' })).rejects.toThrow('invalid_grant');
  });

  it('that died with its turn keeps the others waiting until that is over', async () => {
    await using tokens = await openRotating();
    await stored().takeTurn(accountOf(tokens.auth).id, 60_000);
    let looks = 0;
    const looking = stored();
    const takeTurn: StoredTokens['takeTurn'] = (...given) => {
      looks += 1;
      return looking.takeTurn(...given);
    };
    const asked = startProcess({ ...looking, takeTurn })(tokens.auth);
    await until('it to wait', () => looks > 2);
    expect(tokens.used()).toEqual([]);
    await endTurns();
    expect(await asked).toBe('a1');
  });

  it('gives its turn back also after a refusal, and never takes the turn of another', async () => {
    await using tokens = await openRotating();
    await expect(startProcess()({ ...tokens.auth, clientId: 'x', refreshToken: 'r9' })).rejects.toThrow(
      'invalid_grant',
    );
    expect(await redis.keys(keys.refreshTurn('*'))).toEqual([]);
    const late = await stored().takeTurn('account', 60_000);
    await endTurns();
    await until('it to be over', async () => (await redis.exists(keys.refreshTurn('account'))) === 0);
    await stored().takeTurn('account', 60_000);
    await late?.end();
    expect(await stored().takeTurn('account', 60_000)).toBeNull();
  });

  it('has its turn for too long: that is reported before the login has waited for all its time', async () => {
    await using tokens = await openRotating();
    await stored().takeTurn(accountOf(tokens.auth).id, 60_000);
    let at = 0;
    const looking = stored();
    const takeTurn: StoredTokens['takeTurn'] = (...given) => {
      at += 20_000;
      return looking.takeTurn(...given);
    };
    const book = openTokenBook(
      remember({ ...looking, takeTurn }, () => at),
      { now: () => at, date: Date.now },
    );
    await expect(book(tokens.auth).get()).rejects.toThrow('other processes ask for theirs');
    expect(tokens.used()).toEqual([]);
  });

  it('is not waited for while Redis is away', async () => {
    await using tokens = await openRotating();
    const away = () => Promise.reject(new Error('away'));
    const process = startProcess({ ...stored(), takeTurn: away });
    expect([await process(tokens.auth), await process(tokens.auth)]).toEqual(['a1', 'a2']);
  });

  it('that could not store what it was given keeps its turn, in which it may yet be', async () => {
    await using tokens = await openRotating();
    const process = startProcess({ ...stored(), keep: () => Promise.reject(new Error('away')) });
    expect(await process(tokens.auth)).toBe('a1');
    expect(await stored().takeTurn(accountOf(tokens.auth).id, 60_000)).toBeNull();
  });
});
