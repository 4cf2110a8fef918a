/** Tokens at rest: which of two refresh tokens stays, and how long an access token is shared. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { seal } from '../../src/domain/secret-box.ts';
import { keys } from '../../src/store/keys.ts';
import { openAccessTokens, openRefreshTokens } from '../../src/store/oauth-tokens.ts';
import { aclRule } from '../support/acl-rule.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
/** As docs/redis.md would have us be. */
let limited: Redis;
useTestRedis(async (server) => {
  redis = server.connect();
  await redis.call('ACL', [...aclRule(), 'nopass']);
  limited = server.connect();
  await limited.auth('postrider', 'any');
});

const [secretKey, another] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8)];
const newIv = () => randomBytes(12);
const refreshTokens = (key = secretKey) => openRefreshTokens(limited, key, newIv);
const accessTokens = (key = secretKey) => openAccessTokens(limited, key, newIv);

it('the refresh token that was given last stays', async () => {
  const tokens = refreshTokens();
  for (const at of [2, 1, 3, 2]) await tokens.keep('account', { token: `r${at}`, at });
  expect(await tokens.newest('account')).toEqual({ token: 'r3', at: 3 });
});

it('a refresh token without its time is read, and any other takes its place', async () => {
  await redis.set(keys.refreshToken('account'), seal('before', secretKey, newIv()));
  expect(await refreshTokens().newest('account')).toEqual({ token: 'before', at: 0 });
  await refreshTokens().keep('account', { token: 'after', at: 1 });
  expect(await refreshTokens().newest('account')).toEqual({ token: 'after', at: 1 });
});

it('a refresh token that was sealed with another key gives way, whenever it was given', async () => {
  await refreshTokens(another).keep('account', { token: 'theirs', at: 9 });
  await refreshTokens().keep('account', { token: 'ours', at: 1 });
  expect(await refreshTokens().newest('account')).toEqual({ token: 'ours', at: 1 });
});

it('an access token is shared, sealed, until its time is over, and is not there for another key or account', async () => {
  await accessTokens().share('account', 'S3cret', 60_000);
  const shared = await accessTokens().shared('account');
  expect(shared).toEqual({ token: 'S3cret', leftMs: expect.any(Number) });
  expect(shared?.leftMs).toBeLessThanOrEqual(60_000);
  expect(await redis.get(keys.accessToken('account'))).not.toContain('S3cret');
  expect(await accessTokens(another).shared('account')).toBeNull();
  expect(await accessTokens().shared('none')).toBeNull();
  await redis.pexpire(keys.accessToken('account'), 1);
  await until('it to be over', async () => (await accessTokens().shared('account')) === null);
});

it.each([0.2, 1e15])('an access token that lives for %s ms is taken, for a day at most', async (ms) => {
  await accessTokens().share('account', 'before', 60_000);
  await accessTokens().share('account', 'S3cret', ms);
  expect(await redis.pttl(keys.accessToken('account'))).toBeLessThanOrEqual(86_400_000);
  const shared = await accessTokens().shared('account');
  expect(shared === null || shared.token === 'S3cret').toBe(true);
});

it('an access token is dropped by the process that had it refused, and another token stays', async () => {
  await accessTokens().share('account', 'a1', 60_000);
  await accessTokens().drop('account', 'a0');
  await accessTokens(another).drop('account', 'a1');
  expect(await accessTokens().shared('account')).toMatchObject({ token: 'a1' });
  await accessTokens().drop('account', 'a1');
  expect(await redis.exists(keys.accessToken('account'))).toBe(0);
  await accessTokens().drop('account', 'a1');
});
