/** Refresh tokens that could not be stored: they are tried again until they are, told of, and never take the place of a newer one. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { beforeEach, expect, it } from 'vitest';
import { openTokenKeeper, type StoredTokens } from '../../src/outbound/refresh-tokens.ts';
import { openRefreshTokens } from '../../src/store/oauth-tokens.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let stored: StoredTokens;
useTestRedis((server) => {
  redis = server.connect();
  stored = openRefreshTokens(redis, Buffer.alloc(32, 7), () => randomBytes(12));
});
beforeEach(async () => {
  await redis.config('SET', 'min-replicas-to-write', '0');
});

/** The n-th that was given. */
const given = (n: number) => ({ token: `S3cret-${n}`, at: n });
const noTurn = { async end() {} };

const account = { id: 'account', host: 'login.example.com' };

/** It takes no writes, as where it lost its replicas. */
const holdWrites = () => redis.config('SET', 'min-replicas-to-write', '1');
const takeWrites = () => redis.config('SET', 'min-replicas-to-write', '0');

function openKeeper(known: StoredTokens = stored) {
  const told: string[] = [];
  const keeper = openTokenKeeper(known, {
    onTrouble: (part, { message }) => told.push(`${part}: ${message}`),
    onStored: (host) => told.push(host),
    now: () => performance.now(),
    leastWaitMs: 20,
  });
  return Object.assign(keeper, { told });
}

it('a token that could not be stored is stored as soon as possible, and both are reported', async () => {
  await using keeper = openKeeper();
  await holdWrites();
  await keeper.keep(account, given(1), noTurn);
  expect(keeper.told).toEqual([
    expect.stringMatching(
      /^oauth: The refresh token that login\.example\.com gave .*NOREPLICAS .*see that Redis takes writes/,
    ),
  ]);
  await until('it to be tried again', () => keeper.told.length > 2);
  expect(await keeper.newest(account)).toEqual(given(1));
  await takeWrites();
  await until('it to be stored', async () => (await stored.newest(account.id))?.at === 1);
  await until('that to be told', () => keeper.told.at(-1) === account.host);
  expect(keeper.told.join()).not.toContain('S3cret');
  expect(await keeper.newest(account)).toEqual(given(1));
});

it('the last of several tokens that could not be stored is stored', async () => {
  await using keeper = openKeeper();
  await stored.keep(account.id, given(0));
  await holdWrites();
  for (const n of [1, 2, 3]) await keeper.keep(account, given(n), noTurn);
  expect(keeper.told).toHaveLength(3);
  await takeWrites();
  await until('it to be stored', async () => (await stored.newest(account.id))?.at === 3);
});

it('a token stored again after a lost answer does not replace a newer token of another process', async () => {
  let isLost = true;
  const losing: StoredTokens = {
    ...stored,
    async keep(...given) {
      await stored.keep(...given);
      if (isLost) throw new Error('Command timed out');
    },
  };
  await using keeper = openKeeper(losing);
  await keeper.keep(account, given(1), noTurn);
  await stored.keep(account.id, given(2));
  isLost = false;
  await until('it to be done with', () => keeper.told.at(-1) === account.host);
  expect([await stored.newest(account.id), await keeper.newest(account)]).toEqual([given(2), given(2)]);
});

it('turns last while their tokens are not stored, and end once the newest token is', async () => {
  await using keeper = openKeeper();
  const ended: string[] = [];
  const turn = (name: string) => ({ end: async () => void ended.push(name) });
  await holdWrites();
  await keeper.keep(account, given(1), turn('lapsed'));
  await keeper.keep(account, given(2), turn('present'));
  await until('it to be tried again', () => keeper.told.length > 3);
  expect(ended).toEqual([]);
  await takeWrites();
  await until('the turns to be ended', () => ended.length === 2);
  expect(await stored.newest(account.id)).toEqual(given(2));
  await keeper.keep(account, given(3), turn('next'));
  expect(ended).toEqual(['present', 'lapsed', 'next']);
});

it('a token is tried once more at the end of its process, and advice is logged when that fails', async () => {
  await holdWrites();
  const keepers = [openKeeper(), openKeeper()] as const;
  for (const [n, keeper] of keepers.entries()) await keeper.keep({ ...account, id: `a${n}` }, given(1), noTurn);
  await keepers[0][Symbol.asyncDispose]();
  expect(keepers[0].told.at(-1)).toMatch(/This process ends with it: .* configure a new refresh token$/);
  const count = keepers[0].told.length;
  await takeWrites();
  await keepers[1][Symbol.asyncDispose]();
  expect([await stored.newest('a0'), await stored.newest('a1')]).toEqual([null, given(1)]);
  expect(keepers[0].told).toHaveLength(count);
});
