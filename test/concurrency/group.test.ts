/** Group commit: one command for what comes in one turn, and each caller gets its own result. */
import { expect, it } from 'vitest';
import { type Member, makeGroup } from '../../src/concurrency/group.ts';

type Named = Member & { readonly name: string };

function openGroup(fail = false) {
  const groups: string[][] = [];
  const join = makeGroup(async (members: readonly Named[]) => {
    groups.push(members.map(({ name }) => name));
    if (fail) throw new Error('Redis is away');
    return members.map(({ name }) => `${name} done`);
  });
  const add = (name: string, claim: string | null = null, bytes = 1) => join({ name, claim, bytes });
  return { groups, add };
}

it('calls of one turn form one group, in order, and each caller gets its own result', async () => {
  const { groups, add } = openGroup();
  expect(await Promise.all([add('a'), add('b', 'k'), add('c')])).toEqual(['a done', 'b done', 'c done']);
  expect(await add('d')).toBe('d done');
  expect(groups).toEqual([['a', 'b', 'c'], ['d']]);
});

it('two members with one claim are never in one group, and keep their order', async () => {
  const { groups, add } = openGroup();
  await Promise.all([add('a', 'k'), add('b'), add('c', 'k'), add('d')]);
  await Promise.all([add('e'), add('f', 'k')]);
  expect(groups).toEqual([
    ['a', 'b'],
    ['c', 'd'],
    ['e', 'f'],
  ]);
});

it('a group has a hundred members and a megabyte at most; one that is larger goes alone', async () => {
  const { groups, add } = openGroup();
  await Promise.all([
    add('a', null, 600_000),
    add('b', null, 600_000),
    add('c', null, 9_000_000),
    ...Array.from({ length: 250 }, (_, n) => add(String(n))),
  ]);
  expect(groups.map((group) => group.length)).toEqual([1, 1, 1, 100, 100, 50]);
});

it('members that make many steps come in groups of a thousand steps', async () => {
  const groups: number[] = [];
  const join = makeGroup(async (members: readonly Member[]) => {
    groups.push(members.length);
    return members;
  });
  await Promise.all(Array.from({ length: 25 }, () => join({ claim: null, bytes: 1, steps: 100 })));
  expect(groups).toEqual([10, 10, 5]);
});

it('when the command fails, every member of the group gets the error, and the next group works', async () => {
  const { groups, add } = openGroup(true);
  const results = await Promise.allSettled([add('a'), add('b')]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(add('c')).rejects.toThrow('Redis is away');
  expect(groups).toEqual([['a', 'b'], ['c']]);
});
