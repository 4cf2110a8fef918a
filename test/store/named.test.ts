/** Names for what a script is given: Lua reads under each what TypeScript gave under it, in whatever order either writes them. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { named } from '../../src/store/named.ts';
import { script } from '../../src/store/redis.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const letter = named('from', 'to', 'subject');
const names = named('first', 'second');

it('a script reads each value under its name, from the first place on', async () => {
  const run = script(`${names.read('KEYS')}\n${letter.read('ARGV')}\nreturn {second, first, subject, from, to}`);
  const given = letter.inOrder({ subject: 's', from: 'f', to: 't' });
  expect(await run(redis, names.inOrder({ second: '{x}2', first: '{x}1' }), given)).toEqual([
    ...['{x}2', '{x}1'],
    ...['s', 'f', 't'],
  ]);
});

it('it reads some of them, from wherever they begin', async () => {
  const run = script(
    `local at, read = 2, {}
while at <= #ARGV do
  ${letter.read('ARGV', 'at', ['subject', 'from'])}
  read[#read + 1] = from .. subject
  at = at + ${letter.count}
end
return read`,
  );
  const two = [1, 2].flatMap((n) => letter.inOrder({ from: `f${n}`, to: `t${n}`, subject: `s${n}` }));
  expect(await run(redis, [], ['before', ...two])).toEqual(['f1s1', 'f2s2']);
});
