/** Records of a campaign that declares variables: what is of another type is named before anybody is sent to. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordFor } from '../../src/domain/campaign-recipient.ts';
import { openMissingVariables } from '../../src/domain/missing-variables.ts';
import { compileTemplate } from '../../src/templating/compile.ts';

const declared = [
  { key: 'n', type: 'number', fallback: null },
  { key: 's', type: 'string', fallback: null },
] as const;

function read(variables: object, isText: boolean) {
  const parsed = recordFor(declared, isText).safeParse({ email: 'a@b.co', ...variables });
  return parsed.success ? parsed.data.variables : parsed.error.issues.map(({ path, message }) => [...path, message]);
}

describe('a variable that is declared as a number', () => {
  it.each([
    ['1200', 1200],
    ['-3.50', -3.5],
    ['007', 7],
    ['1.000', 1],
  ])('is read from CSV if it is a plain decimal: %s', (text, n) => {
    expect(read({ n: text, s: text }, true)).toEqual({ n, s: text });
  });

  it.each([
    '3,50',
    '1.000,00',
    '1,200',
    '0x10',
    '0b1',
    '1e3',
    '+1',
    '.5',
    '5.',
    '1 000',
    'Infinity',
    'many',
    '9'.repeat(400),
  ])('is reported if it is anything else: %s', (n) => {
    expect(read({ n }, true)).toEqual([['variables', 'n', 'must be a number, written as 1200 or 3.5']]);
  });

  it('has the value that is written, whatever number that is', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !String(n).includes('e'));
    fc.assert(
      fc.property(number, (n) => {
        expect(read({ n: String(n) }, true)).toEqual({ n: Number(String(n)) });
      }),
    );
  });
});

it('an empty list of variables is no variables, as PHP writes it', () => {
  expect(read({ variables: [] }, false)).toEqual({});
});

it('a variable of another type than declared is a fault; one that is null or missing is not', () => {
  expect(read({ n: '5', s: 5 }, false)).toEqual([
    ['variables', 'n', 'must be a number'],
    ['variables', 's', 'must be a string'],
  ]);
  expect(read({ n: null }, false)).toEqual({ n: null });
  expect(read({ other: { deep: 1 } }, false)).toEqual({ other: { deep: 1 } });
});

describe('missing variables', () => {
  const content = {
    ...{ subject: 'Hello {{ name }}', text: '{% if vip %}{{ gift }}{% endif %}{{ plan }} {{ unsubscribe_url }}' },
    ...{ html: null, preheader: null, from: null, replyTo: [], missing: 'strict' as const, variables: [] },
  };
  const missingOf = (rows: object[], more: object = {}) => {
    const missing = openMissingVariables(compileTemplate({ ...content, ...more }, () => 0));
    for (const variables of rows) missing.see({ address: 'a@b.co', variables: { ...variables } });
    return missing.names();
  };

  it('are those that the letters ask for and no record has', () => {
    expect(missingOf([{}, { first: 'Ada' }])).toEqual(['name', 'plan']);
    expect(missingOf([{}, { name: 'Ada' }, { plan: null }])).toEqual(['plan']);
    expect(missingOf([{ name: 'Ada', plan: 'gold' }])).toEqual([]);
    expect(missingOf([])).toEqual([]);
  });

  it('are not those that have something in their place, or are asked for of others alone', () => {
    expect(missingOf([{}], { missing: 'lenient' })).toEqual([]);
    expect(missingOf([{ name: 'Ada' }], { defaults: { plan: 'none' } })).toEqual([]);
    expect(missingOf([{ name: 'Ada' }], { variables: [{ key: 'plan', type: 'string', fallback: 'none' }] })).toEqual(
      [],
    );
    expect(missingOf([{ name: 'Ada', plan: 'gold', vip: true }])).toEqual(['gift']);
  });
});
