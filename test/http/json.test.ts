/** The JSON reader: equal to JSON.parse on all it takes, strict where JSON.parse is not, and exact about where a fault is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonLimits, readJson } from '../../src/http/json.ts';

function read(text: string | Buffer): { value?: unknown; fault?: string } {
  return readJson(Buffer.from(text));
}

/** What the tokens of a JSON text say, nothing skipped and nothing clever: null for one that may not pass. */
function readNaively(text: string): 'fine' | 'refused' {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g) ?? [];
  const open: { names: Set<string> | null; under: string }[] = [];
  let name = '';
  for (const [index, token] of tokens.entries()) {
    if (token === '{' || token === '[') open.push({ names: token === '{' ? new Set() : null, under: name });
    if (open.length > jsonLimits.depth) return 'refused';
    if (token === '}' || token === ']') open.pop();
    if (token === '{' || token === '[' || token === ',') name = '';
    if (tokens[index + 1] !== ':') continue;
    name = JSON.parse(token);
    const inside = open.at(-1);
    if (inside?.names?.has(name) || name === '__proto__') return 'refused';
    if (name === 'prototype' && inside?.under === 'constructor') return 'refused';
    inside?.names?.add(name);
  }
  return 'fine';
}

/** JSON texts where names repeat, are escaped in other ways, and where quotes, brackets and backslashes stand in strings. */
const names = fc.constantFrom('to', 'cc', 'a"b', 'a\\', '{', '', '__proto__', 'constructor', 'prototype', 'to,', 'ü');
const strings = fc.oneof(
  names,
  fc.string(),
  fc.string({ minLength: 30, maxLength: 90, unit: fc.constantFrom('\\', '"', 'x', '€') }),
);
const blank = fc.constantFrom('', '', ' ', '\n\t');
const quotedText = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, fc.boolean()).map(([value, isEscaped]) => (isEscaped ? escapeAll(value) : JSON.stringify(value)));
const jsonText = fc.letrec<{ value: string; member: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, depthSize: 'small' },
    quotedText(strings),
    fc.constantFrom('1', '-0.5e+3', 'true', 'false', 'null', '{}', '[]'),
    fc
      .tuple(blank, fc.array(tie('member'), { maxLength: 4 }))
      .map(([space, all]) => `${space}{${all.join(`${space},`)}}`),
    fc
      .tuple(blank, fc.array(tie('value'), { maxLength: 4 }))
      .map(([space, all]) => `[${all.join(`,${space}`)}${space}]`),
  ),
  member: fc
    .tuple(quotedText(names), blank, tie('value'))
    .map(([name, space, value]) => `${name}${space}:${space}${value}`),
})).value;

function escapeAll(text: string): string {
  const units = [...Array(text.length).keys()].map((at) => text.charCodeAt(at).toString(16).padStart(4, '0'));
  return `"${units.map((unit) => `\\u${unit}`).join('')}"`;
}

/** An object of so many. */
function members(count: number): string {
  return `{${Array.from({ length: count }, (_, n) => `"${n}":{}`).join()}}`;
}

describe('the reader', () => {
  it('gives for any value what JSON.parse gives', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        fc.pre(readNaively(text) === 'fine');
        expect(read(text)).toEqual({ value: JSON.parse(text) });
      }),
      { numRuns: 1_000 },
    );
  });

  it('refuses exactly what a naive reader refuses', () => {
    let refused = 0;
    fc.assert(
      fc.property(jsonText, (text) => {
        const isRefused = readNaively(text) === 'refused';
        if (isRefused) refused += 1;
        expect(read(text)).toEqual(
          isRefused ? { fault: expect.stringMatching(/ at line \d+, column \d+/) } : { value: JSON.parse(text) },
        );
      }),
      { numRuns: 3_000 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  it('refuses exactly what JSON.parse refuses, however a text was mangled', () => {
    fc.assert(
      fc.property(
        jsonText,
        fc.nat(),
        fc.constantFrom('', '"', '\\', '{', ']', ',', ':', '0', '\u0001', 'e', ' '),
        (text, at, put) => {
          const cut = at % (text.length + 1);
          const mangled = `${text.slice(0, cut)}${put}${text.slice(cut + 1)}`;
          const { fault } = read(mangled);
          if (fault === undefined) expect(read(mangled)).toEqual({ value: JSON.parse(mangled) });
          else if (fault.startsWith('The body is not valid JSON')) expect(() => JSON.parse(mangled)).toThrow();
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('takes a byte order mark, every Unicode character, and a lone surrogate in an escape', () => {
    expect(read('\ufeff{"a":"\u{1f600}\ufffd"}')).toEqual({ value: { a: '\u{1f600}\ufffd' } });
    expect(read('"\\ud800"')).toEqual({ value: '\ud800' });
  });

  it.each(['constructor', 'prototype', 'toString', 'hasOwnProperty'])('takes %s as a name', (name) => {
    expect(read(`{"metadata":{"${name}":"x"}}`)).toEqual({ value: { metadata: { [name]: 'x' } } });
  });
});

it('takes any number of objects and arrays side by side', () => {
  const text = JSON.stringify(Array(1_000).fill({ a: [{}], b: [] }));
  expect(read(text)).toEqual({ value: JSON.parse(text) });
});

describe('a file as a list of bytes', () => {
  const bytes = Array.from({ length: 600_000 }, (_, at) => at % 256);
  it.each([
    ['as Python writes it', JSON.stringify({ content: bytes }).replaceAll(',', ', ')],
    ['as Node writes it', JSON.stringify({ content: { type: 'Buffer', data: bytes } })],
    ['with white space around', `{"content" : [ ${bytes.join(' ,\n')} ] }`],
    ['of a Buffer with white space', `{"content":{ "type": "Buffer", "data": [${bytes}] }}`],
  ])('is one value, and a long one comes back in base64: %s', (_, text) => {
    expect(read(text)).toEqual({ value: { content: Buffer.from(bytes).toString('base64') } });
    const several = `[${text},${JSON.stringify({ content: 'x', to: [1] })},${text}]`;
    const value = { content: Buffer.from(bytes).toString('base64') };
    expect(read(several)).toEqual({ value: [value, { content: 'x', to: [1] }, value] });
  });

  it('stays a list as long as something else could be meant by it', () => {
    const text = JSON.stringify({ variables: { content: bytes.slice(0, 200_000), data: bytes.slice(0, 200_000) } });
    expect(read(text)).toEqual({ value: JSON.parse(text) });
    const other = JSON.stringify({
      content: { data: bytes, type: 'Buffer' },
      more: { type: 'Buffer', data: bytes, at: 1 },
    });
    expect(read(other)).toEqual({ value: JSON.parse(other) });
  });

  it.each([
    ['has something else in it', `{"content":[${bytes},{}]}`],
    ['has larger numbers', `{"content":[${bytes.map((byte) => byte + 1)}]}`],
    ['is no file', `{"metadata":[${bytes}]}`],
  ])('is counted when it %s', (_, text) => {
    expect(read(text).fault).toMatch(/^The body has more than 500000 values at line 1, column \d+$/);
  });

  it('still has its faults reported', () => {
    expect(read('{"content":[1,2,03]}').fault).toMatch(/^The body is not valid JSON: .*column 18/);
    expect(read('{"content":[1,2,]}').fault).toMatch(/^The body is not valid JSON: .*column 17/);
    expect(read('{"content":[1,2').fault).toMatch(/^The body is not valid JSON: .*found the end$/);
    expect(read('{"content":[1,2],"a":1,"a":2}').fault).toMatch(/"a" twice in one object/);
  });
});

describe('a fault', () => {
  const long = 'n'.repeat(500);
  it.each<[what: string, text: string | Buffer, fault: string]>([
    ['nothing', ' ', 'The body is not valid JSON: expected a value at line 1, column 2, found the end'],
    [
      'an end too early',
      '{"a":\n  [1,',
      'The body is not valid JSON: expected a value at line 2, column 6, found the end',
    ],
    [
      'a comma too many',
      '{"a":1,\n}',
      'The body is not valid JSON: expected a name in quotes at line 2, column 1, found "}"',
    ],
    ['no comma', '[1 2]', 'The body is not valid JSON: expected "," or "]" at line 1, column 4, found "2"'],
    ['no colon', '{"a" 1}', 'The body is not valid JSON: expected ":" at line 1, column 6, found "1"'],
    [
      'something after the end',
      '{} x',
      'The body is not valid JSON: expected nothing more at line 1, column 4, found "x"',
    ],
    [
      'single quotes',
      "{'a':1}",
      `The body is not valid JSON: expected a name in quotes at line 1, column 2, found "'"`,
    ],
    ['NaN', '{"a":NaN}', 'The body is not valid JSON: expected a value at line 1, column 6, found "N"'],
    [
      'a number with a zero before it',
      '[01]',
      'The body is not valid JSON: expected "," or "]" at line 1, column 3, found "1"',
    ],
    [
      'a raw line feed in a string',
      '["a\nb"]',
      'The body is not valid JSON: expected an escape such as \\n at line 1, column 4, found "\\n"',
    ],
    [
      'an unknown escape',
      '["\\x41"]',
      'The body is not valid JSON: expected an escape such as \\n or \\u00e9 at line 1, column 3, found "\\\\"',
    ],
    [
      'a string without an end',
      '["abc',
      'The body is not valid JSON: expected the closing quote of a string at line 1, column 6, found the end',
    ],
    [
      'bytes that are not UTF-8',
      Buffer.from('{"a":\n"\ufffdx\xff"}', 'latin1'),
      'The body is not valid UTF-8 at line 2, column 2',
    ],
    ['a surrogate in UTF-8', Buffer.from('22eda08022', 'hex'), 'The body is not valid UTF-8 at line 1, column 2'],
    [
      'a name given twice',
      '{"to":1,\n "cc":2, "t\\u006f":3}',
      'The body has "to" twice in one object: /to at line 2, column 10',
    ],
    [
      'a name given twice far inside',
      '{"a/b":[{},{"x":{"y":1,"y":1}}]}',
      'The body has "y" twice in one object: /a~1b/1/x/y at line 1, column 24',
    ],
    [
      '__proto__',
      '{"metadata":{"__proto__":{}}}',
      'The body has "__proto__", which is never allowed: /metadata/__proto__ at line 1, column 14',
    ],
    [
      '__proto__ in escapes',
      '{"\\u005f_proto__":1}',
      'The body has "__proto__", which is never allowed: /__proto__ at line 1, column 2',
    ],
    [
      'a prototype of a constructor',
      '{"constructor":{"prototype":1}}',
      'The body has "prototype", which is never allowed: /constructor/prototype at line 1, column 17',
    ],
    ['33 levels', '['.repeat(33) + ']'.repeat(33), 'The body is nested deeper than 32 levels at line 1, column 33'],
    ['a million brackets', '['.repeat(1_000_000), 'The body is nested deeper than 32 levels at line 1, column 33'],
    [
      'too many values',
      `[${'{},'.repeat(250_000)}{}]`,
      'The body has more than 500000 values at line 1, column 750001',
    ],
    [
      'too many members of one object',
      `[{"b":1},{"a":[${members(50_000)},\n${members(50_001)}]}]`,
      'The body has an object of more than 50000 members at line 2, column 538892',
    ],
    [
      'a long name given twice',
      `{"${long}":1,"${long}":2}`,
      `The body has "${'n'.repeat(79)}…" twice in one object: /${'n'.repeat(78)}… at line 1, column 507`,
    ],
  ])('in %s is told with its place', (_, text, fault) => {
    expect(read(text)).toEqual({ fault });
  });

  it('in UTF-8 is found after a megabyte of non-ASCII characters, and among replacement characters that were given', () => {
    const before = '€'.repeat(400_000) + '\ufffd'.repeat(1_000);
    expect(read(Buffer.concat([Buffer.from(`"\n${before}`), Buffer.from([0xe2, 0x82]), Buffer.from('"')]))).toEqual({
      fault: 'The body is not valid UTF-8 at line 2, column 401001',
    });
  });

  it.each([32, 2])('is not found in what is just within the limits: %i levels', (depth) => {
    const text = `${'{"a":'.repeat(depth - 1)}[]${'}'.repeat(depth - 1)}`;
    expect(read(text)).toEqual({ value: JSON.parse(text) });
  });
});
