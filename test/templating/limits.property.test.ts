/** Whatever a template and its variables are, parsing and rendering end within their limits, never throw, and make no markup of a variable. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuMs } from '../../src/chance.ts';
import { compileTemplate } from '../../src/templating/compile.ts';
import { maxLetterLength } from '../../src/templating/limits.ts';
import { contentOf, faultsOf, rendered, renderFaults } from '../support/templates.ts';

const name = fc.constantFrom(
  'a',
  'b',
  'list',
  'o.p',
  'o',
  'list[0]',
  'item',
  'nope',
  '"<i>"',
  '1000000',
  '(1..a)',
  'empty',
);
const filter = fc.constantFrom(
  ...'append prepend upcase split join sort sort_natural map where uniq concat replace remove slice truncate truncatewords'.split(
    ' ',
  ),
  ...'date times divided_by plus size first reverse sum strip_html newline_to_br escape url_encode url_decode default'.split(
    ' ',
  ),
);
const expression = fc
  .tuple(name, fc.array(fc.tuple(filter, fc.array(name, { maxLength: 2 })), { maxLength: 4 }))
  .map(([root, filters]) => [
    root,
    ...filters.map(([one, args]) => `${one}${args.length > 0 ? ': ' : ''}${args.join(', ')}`),
  ])
  .map((parts) => parts.join(' | '));

/** A piece of a template: well-formed for the most part, and with some that is not. */
const { piece } = fc.letrec<{ piece: string }>((tie) => {
  const inner = fc.array(tie('piece'), { maxLength: 3 }).map((pieces) => pieces.join(''));
  return {
    piece: fc.oneof(
      { maxDepth: 4 },
      expression.map((made) => `{{ ${made} }}`),
      fc.string({ maxLength: 10 }),
      fc.constantFrom(
        '{{',
        '%}',
        '{%',
        '<p>',
        '{% endif %}',
        '{% break %}',
        '{{{ a }}}',
        '{% increment a %}',
        '\0',
        '\ud800',
      ),
      fc.tuple(name, expression).map(([to, made]) => `{% assign ${to} = ${made} %}`),
      fc.tuple(name, inner).map(([list, body]) => `{% for item in ${list} %}${body}{% endfor %}`),
      fc
        .tuple(name, name, inner)
        .map(([one, other, body]) => `{% if ${one} == ${other} or ${one} contains ${other} %}${body}{% endif %}`),
      fc.tuple(name, inner).map(([to, body]) => `{% capture ${to} %}${body}{% endcapture %}`),
      fc
        .tuple(name, inner)
        .map(([one, body]) => `{% case ${one} %}{% when 1, "x", list %}${body}{% else %}${body}{% endcase %}`),
    ),
  };
});
const source = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(''));

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.constantFrom('<script>', 'x'.repeat(50_000), Array(5_000).fill('<'), 1e308, {
    size: 1e9,
    length: 1e9,
    toString: 1,
    __proto__: 2,
  }),
);
const variables = fc.record({ a: value, b: value, list: value, o: fc.record({ p: value }) }, { requiredKeys: [] });

describe('any template', () => {
  it('is a fault, or a letter of no more than a letter may be', () => {
    fc.assert(
      fc.property(source, source, fc.boolean(), variables, (html, subject, isStrict, given) => {
        const missing = isStrict ? 'strict' : 'lenient';
        const template = compileTemplate(contentOf({ subject, html, preheader: subject, missing }), cpuMs);
        if (!('faults' in template)) {
          const letter = template.render(given);
          if ('faults' in letter) expect(letter.faults.length).toBeGreaterThan(0);
          else {
            for (const part of Object.values(letter)) expect(part?.isWellFormed()).toBe(true);
            expect(letter.html?.length).toBeLessThanOrEqual(maxLetterLength);
            expect(letter.subject).not.toMatch(/\p{Cc}/u);
          }
        } else expect(template.faults.length).toBeGreaterThan(0);
      }),
      { numRuns: 400 },
    );
  });

  it('makes no markup of a variable, whatever becomes of it on the way', () => {
    const safeFilter = filter.filter((one) => !['newline_to_br', 'strip_html', 'escape', 'url_encode'].includes(one));
    const output = fc
      .tuple(fc.array(safeFilter, { maxLength: 3 }), fc.constantFrom('a', 'list'))
      .map(
        ([filters, root]) =>
          `{{ ${[root, ...filters.map((one) => (one === 'date' ? 'date: "%Y"' : `${one}: b`))].join(' | ')} }}`,
      );
    const text = fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', 'x', '/', ' '), maxLength: 20 });
    fc.assert(
      fc.property(fc.array(output, { maxLength: 4 }), text, text, (outputs, a, b) => {
        const html = `{% for list in list %}${outputs.join('')}{% endfor %}${outputs.join('')}{% cycle a, b %}{% capture c %}{{ a }}{% endcapture %}`;
        const letter = compileTemplate(contentOf({ html, missing: 'lenient' }), cpuMs);
        const made = 'faults' in letter ? letter : letter.render({ a, b, list: [a, [b, a], b] });
        if ('html' in made) expect(made.html).not.toMatch(/[<>"']|&(?!(?:amp|lt|gt|#34|#39);)/);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a template that takes too much', () => {
  const many = Array.from({ length: 20_000 }, (_, index) => `${index}`);
  const doubling = (step: string) =>
    `{% assign x = a %}{% for i in (1..40) %}{% assign x = ${step} %}{% endfor %}{{ x | size }}`;
  const long = 'x'.repeat(100_000);
  let ms = 0;
  const slow = () => {
    ms += 100;
    return ms;
  };

  let looks = 0;
  /** Late within a search, and early again after it. */
  const jumpy = () => (looks++ % 2 === 0 ? 0 : 60);

  it.each<[what: string, html: string]>([
    ['text that doubles', doubling('x | append: x')],
    [
      'captured text that doubles',
      '{% assign x = a %}{% for i in (1..40) %}{% capture x %}{{ x | raw }}{{ x | raw }}{% endcapture %}{% endfor %}',
    ],
    ['lists that double', doubling('x | concat: x')],
    [
      'a list of long lists, as text',
      `{% assign x = nested %}{% for i in (1..12) %}{% assign x = x | concat: x %}{% endfor %}{{ x }}`,
    ],
    ['replacements that grow', doubling('x | replace: "", "xxxxxxxxxxxxxxxx"')],
    ['a long range', '{% for i in (1..100000000) %}{% endfor %}'],
    ['loops in loops', '{% for i in many %}{% for j in many %}{% for k in many %}{% endfor %}{% endfor %}{% endfor %}'],
    ['much text in a loop', `{% for i in many %}${long.slice(0, 2_000)}{% endfor %}`],
    [
      'long texts compared in a loop',
      `{% for i in many %}{% if long contains "y" or long == other %}{% endif %}{% endfor %}`,
    ],
    ['long lists compared in a loop', '{% for i in many %}{% case many %}{% when others %}{% endcase %}{% endfor %}'],
    ...['contains', 'remove', 'remove_first', 'remove_last', 'replace_last', 'replace', 'replace_first', 'split'].map(
      (search): [string, string] => [
        `a part that is nearly everywhere, by ${search}`,
        search === 'contains' ? '{% if aaa contains aba %}{% endif %}' : `{{ aaa | ${search}: aba | size }}`,
      ],
    ),
    ['sorting in a loop', '{% for i in many %}{% assign x = many | sort_natural %}{% endfor %}'],
    ['a padded date', '{{ "now" | date: "%999999999d" }}'],
    ['dates in a loop', '{% for i in many %}{{ i | date: "%A", "Europe/Berlin" }}{% endfor %}'],
    [
      'a part that is found to be elsewhere from its end on',
      '{% if aaa contains early %}{% endif %}{{ aaa | remove_last: late }}',
    ],
  ])('is a fault: %s', (_, html) => {
    const faults = renderFaults(
      { html, text: '' },
      {
        a: ['x'.repeat(10)],
        many,
        others: [...many],
        nested: Array(1_000).fill(many.slice(0, 10)),
        long,
        other: `${long}y`,
        aaa: 'a'.repeat(120_000),
        early: `${'a'.repeat(6)}b${'a'.repeat(65_000)}`,
        late: `${'a'.repeat(60_000)}b`,
        aba: `${'a'.repeat(30_000)}b${'a'.repeat(30_000)}`,
      },
    );
    expect(faults).toEqual([
      expect.stringMatching(/^\/ its html (?:takes more than|makes more|has more than|searches too much)/),
    ]);
  });

  it.each<[what: string, clock: () => number, says: RegExp, html: string]>([
    [
      'steps',
      () => 0,
      /takes more than 1000000 steps/,
      '{% for i in many %}{% for j in many %}{% if j == 1 %}{% endif %}{% endfor %}{% endfor %}',
    ],
    ['time', slow, /takes more than 150 ms/, '{% for i in many %}{{ i }}{% endfor %}'],
    ['time, in few steps that make much', slow, /takes more than 150 ms/, '{{ long }}{{ long }}{{ long }}'],
    ['text', () => 0, /makes more text/, doubling('x | append: x')],
    ['searches', jumpy, /searches too much: for more than 50 ms/, '{{ long | remove: half }}'],
  ])('is ended by %s alone', (_, clock, says, html) => {
    const template = compileTemplate(contentOf({ html, text: '' }), clock);
    const half = long.slice(50_000);
    const made = 'faults' in template ? template : template.render({ a: 'xxxxxxxxxx', many, long, half });
    expect('faults' in made ? made.faults[0]?.message : '').toMatch(says);
  });

  it.each<[what: string, html: string]>([
    ['many tags', '{{ a }}'.repeat(2_001)],
    ['a long tag', `{% if a${' or a'.repeat(1_000)} %}{% endif %}`],
    ['many braces', '{{'.repeat(100_000)],
    ['deep tags', `${'{% if a %}'.repeat(1_000)}${'{% endif %}'.repeat(1_000)}`],
    ['deep loops', `${'{% for i in a %}'.repeat(4)}${'{% endfor %}'.repeat(4)}`],
    ['deep brackets', `{{ a${'[a'.repeat(900)}${']'.repeat(900)} }}${'{{'}`],
  ])('is a fault before it is rendered: %s', (_, html) => {
    expect(faultsOf({ html })).toHaveLength(1);
  });

  it('is none as long as it searches as letters do', () => {
    const html =
      '{% for row in rows %}{% if row contains "urgent" %}!{% endif %}{{ row | replace: "Lorem ipsum dolor", "x" | split: " " | size }}{% endfor %}';
    const rows = Array(500).fill('Lorem ipsum dolor sit amet, urgent consectetur. '.repeat(10));
    expect(rendered({ html, text: '' }, { rows }).html?.match(/!/g)).toHaveLength(500);
  });

  it.each([
    ['hundreds of ids', 300, crypto.randomUUID(), `${crypto.randomUUID()},`.repeat(1_350)],
    ['hundreds of words', 200, 'abcdefghijklmnopqrstuvwxyz1234', 'lorem ipsum dolor sit amet '.repeat(3_800)],
  ])('is none where %s are looked for in a long text', (_, count, part, body) => {
    const html = '{% for one in parts %}{% unless body contains one %}x{% endunless %}{% endfor %}';
    expect(rendered({ html, text: '' }, { parts: Array(count).fill(part), body }).html).toBe('x'.repeat(count));
  });

  it('is none where a long part is looked for, and what is made is what JavaScript makes of it', () => {
    const part = 'ab'.repeat(1_000);
    const html = ['remove', 'remove_first', 'remove_last', 'split']
      .map((search) => `{{ body | ${search}: part | join: "|" }}`)
      .concat(['replace', 'replace_first', 'replace_last'].map((search) => `{{ body | ${search}: part, "$&" | raw }}`))
      .join('\n');
    const between = fc.constantFrom('', 'a', 'b', 'ab', 'x'.repeat(3_000));
    fc.assert(
      fc.property(fc.array(between, { minLength: 3, maxLength: 8 }), (texts) => {
        const body = texts.join(part);
        const last = body.lastIndexOf(part);
        const replaced = (by: string) => [
          body.replaceAll(part, () => by),
          body.replace(part, () => by),
          body.slice(0, last) + by + body.slice(last + part.length),
        ];
        const items = body.split(part).join('|').replace(/\|+$/, '');
        const expected = [...replaced(''), items, ...replaced('$&')].join('\n');
        expect(rendered({ html, text: '' }, { body, part }).html).toBe(expected);
      }),
      { numRuns: 50 },
    );
  });

  it.each(['remove', 'remove_first', 'remove_last'])('is none where %s takes a long end from a long text', (remove) => {
    const [body, end] = ['<p>hello world</p>'.repeat(17_000), 'F'.repeat(2_000)];
    const html = `{{ body | ${remove}: end | raw }}`;
    expect(rendered({ html, text: '' }, { body: body + end, end }).html).toBe(body);
  });

  it('is none as long as it is a letter: a table of a thousand rows', () => {
    const html =
      '<table>{% for row in rows %}<tr>{% for n in row.ns %}<td>{{ n | plus: 1 }}</td>{% endfor %}</tr>{% endfor %}</table>';
    const rows = Array.from({ length: 1_000 }, () => ({ ns: [1, 2, 3, 4, 5] }));
    expect(rendered({ html, text: '' }, { rows }).html?.match(/<td>6</g)).toHaveLength(1_000);
  });
});
