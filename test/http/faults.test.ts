/** The wording of validation errors: a short phrase per issue that says what is expected, and the branch of a union that was meant. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { faultsOf, wording } from '../../src/http/faults.ts';

function faults(schema: z.ZodType, value: unknown, part?: string): string[] {
  const issues = schema.safeParse(value, wording).error?.issues ?? [];
  return faultsOf(issues, part).map(({ pointer, code, message }) => `${pointer} ${code}: ${message}`);
}

const cases: readonly (readonly [schema: z.ZodType, value: unknown, fault: string])[] = [
  [z.object({ a: z.string() }), {}, '/a required: is required'],
  [z.object({ a: z.enum(['x', 'y']) }), {}, '/a required: is required'],
  [z.object({ a: z.union([z.string(), z.number()]) }), {}, '/a required: is required'],
  [z.object({ a: z.string().optional().nonoptional() }), {}, '/a required: is required'],
  [z.string(), 1, ' invalid_type: must be a string'],
  [z.string(), null, ' invalid_type: must be a string'],
  [z.number(), 'x', ' invalid_type: must be a number'],
  [z.coerce.number(), 'x', ' invalid_type: must be a number'],
  [z.int(), 1.5, ' invalid_type: must be a whole number'],
  [z.boolean(), 'x', ' invalid_type: must be true or false'],
  [z.object({}), [], ' invalid_type: must be an object'],
  [z.record(z.string(), z.string()), 'x', ' invalid_type: must be an object'],
  [z.array(z.string()), {}, ' invalid_type: must be an array'],
  [z.tuple([z.string()]), {}, ' invalid_type: must be an array'],
  [z.null(), 1, ' invalid_type: must be null'],
  [z.never(), 1, ' invalid_type: must be left out'],
  [z.enum(['high', 'low']), 'x', ' invalid_value: must be one of high, low'],
  [z.literal('email'), 'x', ' invalid_value: must be email'],
  [z.literal([1, true]), 'x', ' invalid_value: must be one of 1, true'],
  [z.string().min(1), '', ' too_small: must be at least 1 character'],
  [z.string().max(998), 'x'.repeat(999), ' too_big: must be at most 998 characters'],
  [z.string().length(2), 'x', ' too_small: must be exactly 2 characters'],
  [z.string().length(2), 'xxx', ' too_big: must be exactly 2 characters'],
  [z.array(z.string()).min(1), [], ' too_small: must have at least 1 item'],
  [z.array(z.string()).max(2), ['', '', ''], ' too_big: must have at most 2 items'],
  [z.number().min(1), 0, ' too_small: must be at least 1'],
  [z.number().gt(1), 1, ' too_small: must be more than 1'],
  [z.number().max(100), 101, ' too_big: must be at most 100'],
  [z.number().lt(100), 100, ' too_big: must be less than 100'],
  [z.int(), 1e300, ' too_big: must be at most 9007199254740991'],
  [z.number().multipleOf(5), 6, ' not_multiple_of: must be a multiple of 5'],
  [z.url(), 'x', ' invalid_format: must be a URL'],
  [z.email(), 'x', ' invalid_format: must be an email address'],
  [z.iso.datetime(), 'x', ' invalid_format: must be a time such as 2030-01-31T09:30:00Z'],
  [z.iso.date(), 'x', ' invalid_format: must be a date such as 2030-01-31'],
  [z.base64(), '?', ' invalid_format: must be base64'],
  [z.uuid(), '?', ' invalid_format: must be a valid uuid'],
  [z.string().regex(/^a$/), 'x', ' invalid_format: must match /^a$/'],
  [z.string().startsWith('pr_'), 'x', ' invalid_format: must start with pr_'],
  [z.string().endsWith('='), 'x', ' invalid_format: must end with ='],
  [z.string().includes('@'), 'x', ' invalid_format: must contain @'],
  [z.string().refine(() => false), 'x', ' custom: is not valid'],
  [z.strictObject({}), { 'a/b~': 1 }, '/a~1b~0 unknown_field: is not a known field'],
  ...['domain_id', 'domainId'].map(
    (name) =>
      [
        z.strictObject({}),
        { [name]: 'd' },
        `/${name} unknown_field: is not known here: name the domains that it may send from in from_domains, such as ["example.com"]`,
      ] as const,
  ),
  [
    z.record(z.string().max(2), z.string()),
    { long: '' },
    '/long invalid_key: has a name that must be at most 2 characters',
  ],
  [z.map(z.string(), z.string()), new Map([['a', 1]]), '/a invalid_type: must be a string'],
  [z.map(z.any(), z.string()), new Map([[{}, 1]]), ' invalid_element: has an item that must be a string'],
];

describe('a fault', () => {
  it.each(cases.map(([schema, value, fault]) => ({ schema, value, fault })))(
    'reads $fault',
    ({ schema, value, fault }) => {
      expect(faults(schema, value)).toEqual([fault]);
    },
  );

  it('of every kind that zod knows is in the table, except unions, which have their own below', () => {
    const codes = cases.flatMap(
      ([schema, value]) => schema.safeParse(value).error?.issues.map(({ code }) => code) ?? [],
    );
    const known: Record<z.core.$ZodIssue['code'], true> = {
      invalid_type: true,
      invalid_value: true,
      too_big: true,
      too_small: true,
      invalid_format: true,
      not_multiple_of: true,
      unrecognized_keys: true,
      invalid_union: true,
      invalid_key: true,
      invalid_element: true,
      custom: true,
    };
    expect([...new Set(codes)].toSorted()).toEqual(Object.keys(known).toSorted());
  });

  it('keeps the message that its schema gives', () => {
    expect(faults(z.string().min(9, 'is too short'), 'x')).toEqual([' too_small: is too short']);
    expect(faults(z.string('must be text'), 1)).toEqual([' invalid_type: must be text']);
  });

  it('names each unknown field, at most 80 characters of it', () => {
    expect(faults(z.strictObject({}), { a: 1, ['b'.repeat(99)]: 2 })).toEqual([
      '/a unknown_field: is not a known field',
      `/${'b'.repeat(79)}… unknown_field: is not a known field`,
    ]);
  });

  it.each([
    ['querystring', '#/query/limit'],
    ['params', '#/path/limit'],
    ['headers', '#/header/limit'],
    ['body', '/limit'],
  ])('in the %s points to %s', (part, pointer) => {
    expect(faults(z.object({ limit: z.number() }), {}, part)).toEqual([`${pointer} required: is required`]);
    const unknown = part === 'body' ? 'field' : 'parameter';
    expect(faults(z.strictObject({}), { limit: 1 }, part)).toEqual([
      `${pointer} unknown_field: is not a known ${unknown}`,
    ]);
  });
});

describe('a fault in a union', () => {
  const mailbox = z.union([z.string().min(3), z.strictObject({ email: z.string(), name: z.string().optional() })]);
  const list = z.object({ to: z.union([mailbox, z.array(mailbox)]) });

  it.each([
    [{ to: 'x' }, ['/to too_small: must be at least 3 characters']],
    [{ to: { email: 1 } }, ['/to/email invalid_type: must be a string']],
    [
      { to: { email: 1, mail: 'x' } },
      ['/to/email invalid_type: must be a string', '/to/mail unknown_field: is not a known field'],
    ],
    [{ to: ['abc', { name: 'x' }] }, ['/to/1/email required: is required']],
    [{ to: ['abc', true] }, ['/to/1 invalid_union: must be a string or an object']],
    [{ to: 1 }, ['/to invalid_union: must be a string or an object or an array']],
  ])('is that of the intended branch: %j', (value, expected) => {
    expect(faults(list, value)).toEqual(expected);
  });

  it('is that of the branch with the fewest, when more than one has the type', () => {
    const content = z.union([z.object({ html: z.string(), text: z.string() }), z.object({ template: z.string() })]);
    expect(faults(content, { template: 1 })).toEqual(['/template invalid_type: must be a string']);
  });

  it('that is distinguished by a field names its allowed values, or only the faults of the branch it names', () => {
    const union = z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('a'), size: z.number() }),
      z.object({ kind: z.literal('b') }),
    ]);
    expect(faults(union, { kind: 'c' })).toEqual(['/kind invalid_union: must be one of a, b']);
    expect(faults(union, { kind: 'a' })).toEqual(['/size required: is required']);
  });
});
