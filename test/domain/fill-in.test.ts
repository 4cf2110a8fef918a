/** What a letter is rendered with: the values given, and where one is missing the default or the fallback. */
import { expect, it } from 'vitest';
import { fillIn } from '../../src/domain/template.ts';

const variables = [{ key: 'plan', type: 'string', fallback: 'free' } as const];
const defaults = { first: 'friend', gone: null };

it.each([
  ['left out', {}],
  ['null', { first: null, plan: null, last: null }],
])('takes the default, then the fallback, of a variable that is %s, and has none of any other', (_, given) => {
  const filled = fillIn({ variables, defaults }, given);
  expect(filled.faults).toEqual([]);
  expect(filled.variables).toEqual({ unsubscribe_url: expect.any(String), first: 'friend', plan: 'free' });
});

it('keeps a value that is given, also an empty one', () => {
  const given = { first: '', plan: 'team', count: 0, shown: false };
  expect(fillIn({ variables, defaults }, given).variables).toMatchObject(given);
});
