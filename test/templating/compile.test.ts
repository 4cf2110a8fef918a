/** What becomes of a template: escaping, missing variables, faults with their place, the preheader and the text that is made of the HTML. */
import { describe, expect, it } from 'vitest';
import { withLink } from '../../src/domain/unsubscribe-link.ts';
import { compiled, faultsOf, rendered, renderFaults } from '../support/templates.ts';

describe('variables', () => {
  const evil = `<b onclick="x('&')">`;
  const escaped = '&lt;b onclick=&#34;x(&#39;&amp;&#39;)&#34;&gt;';

  it('are escaped in html, and unchanged in subject and text', () => {
    const source = '{{ name }}';
    expect(rendered({ subject: source, html: source, text: source }, { name: evil })).toEqual({
      subject: evil,
      html: escaped,
      text: evil,
    });
  });

  it('leave the unsubscribe link for the composer to fill in, also where every variable must be given', () => {
    const html = '<a href="{{ unsubscribe_url }}">No more</a>';
    expect(rendered({ html })).toMatchObject({
      html: '<a href="{{unsubscribe_url}}">No more</a>',
      text: 'No more [{{unsubscribe_url}}]',
    });
  });

  it.each([
    'url_encode',
    'upcase',
    'downcase',
    'capitalize',
    'escape',
    'escape_once',
    'slugify',
    'strip',
    'append: ""',
    'truncate: 40',
    'raw',
  ])('leave it so after the filter %s as well', (filter) => {
    const source = `Stop: {{ unsubscribe_url | ${filter} }}.`;
    const place = 'Stop: {{unsubscribe_url}}.';
    const whole = { subject: place, html: place, text: place };
    expect(rendered({ subject: source, html: source, text: source })).toEqual(whole);
    const woven = compiled({ html: `<a href="{{ unsubscribe_url | ${filter} }}">No more</a>` }).weave({});
    expect(woven).toMatchObject({ html: ['<a href="', '{{unsubscribe_url}}', '">No more</a>'] });
  });

  it.each(['{{unsubscribe_url}}', '{{ unsubscribe_url }}'])('are not read as a template themselves: %s', (name) => {
    const source = 'Dear {{ name }}, stop: {{ unsubscribe_url }}';
    const { subject, html, text } = rendered({ subject: source, html: `<p>${source}</p>` }, { name });
    const url = 'https://a.example/u/1';
    for (const part of [subject, html, text])
      expect(withLink(part ?? '', url).replaceAll('\u2060', '')).toContain(`Dear ${name}, stop: ${url}`);
  });

  it('have the common value where a reader has none, of any type', () => {
    const content = { text: '{{ plan }} {{ list[1] }}', defaults: { plan: 'free', list: [1, 2] } };
    expect(rendered(content).text).toBe('free 2');
    expect(rendered(content, { plan: 'gold' }).text).toBe('gold 2');
    const declared = [{ key: 'n', type: 'number', fallback: 3 } as const];
    expect(rendered({ text: '{{ n }}', variables: declared, defaults: { n: 2 } }).text).toBe('2');
  });

  it.each([
    ['{{ name | raw }}', evil],
    ['{{ name | escape }}', escaped],
    ['{{ name | escape | upcase }}', escaped.toUpperCase().replaceAll('&', '&amp;')],
    ['{{ names | newline_to_br }}', `${escaped}<br />\n2`],
    ['{% assign x = name %}{{ x }}', escaped],
    ['{% echo name %}', escaped],
    ['{% cycle name, name %}', escaped],
    ['{{ list }}', `${escaped}1true`],
    ['{{ list | join: "<" }}', `${escaped}&lt;1&lt;true`],
    ['{{ name.size }}{{ name | size }}', `${evil.length}${evil.length}`],
    ['{{ object }}', ''],
    ['{{ name | append: name | slice: 0, 2 }}', '&lt;b'],
  ])('in html: %s', (html, expected) => {
    const variables = { name: evil, names: `${evil}\n2`, list: [evil, 1, true], object: { a: 1 } };
    expect(rendered({ html }, variables).html).toBe(expected);
  });

  it('are found, with their place and the members that are used', () => {
    const { uses } = compiled({
      subject: 'Order {{ order.number }}',
      html: '{% assign total = order.total %}{% for item in order.items %}{{ item.name }} {{ forloop.index }} {{ total }}{% endfor %}',
      preheader: '{% if name %}{{ name }}{% endif %}',
    });
    expect(uses).toEqual([
      { key: 'order', paths: ['order.number', 'order.total', 'order.items'], usedIn: ['subject', 'html'] },
      { key: 'name', paths: ['name'], usedIn: ['preheader'] },
    ]);
  });

  it('are those that were given: none is changed, and prototypes cannot be reached', () => {
    const variables = Object.freeze({ n: 1, list: Object.freeze([3, 1, 2]) });
    const html = '{% increment n %}{{ list | sort | join }}{{ list | concat: list | size }}';
    expect(rendered({ html }, variables).html).toBe('11 2 36');
    const reaching = '{{ constructor }}{{ list.constructor.name }}{{ __proto__ }}{{ list.map }}{{ "x".constructor }}';
    expect(rendered({ html: reaching, missing: 'lenient' }, variables).html).toBe('');
  });

  it('have their fallback if they are not given, and must have the declared type', () => {
    const variables = [
      { key: 'name', type: 'string', fallback: 'friend' },
      { key: 'count', type: 'number', fallback: null },
    ] as const;
    const template = { text: 'Dear {{ name }}: {{ count }}', variables };
    expect(rendered(template, { count: 3 }).text).toBe('Dear friend: 3');
    expect(rendered(template, { name: null, count: 3 }).text).toBe('Dear friend: 3');
    expect(renderFaults(template, { name: 1, count: '3' })).toEqual([
      '/variables/name must be a string',
      '/variables/count must be a number',
    ]);
    expect(renderFaults(template)).toEqual(['/variables/count is missing']);
  });
});

describe('a missing variable', () => {
  const html =
    '{{ a | append: b }}{% for item in items %}{{ item.price }}{% endfor %}{{ c.d.e }}{% for x in list %}{% endfor %}';
  const given = { items: [{}, { price: 1 }, {}], c: { d: {} } };

  it('is named, with all the others, when the template is strict', () => {
    expect(renderFaults({ html, subject: '{{ a }} {{ s }}', text: 'x' }, given)).toEqual([
      '/variables/a is missing',
      '/variables/s is missing',
      '/variables/b is missing',
      '/variables must give item.price, which the html asks for',
      '/variables/c/d/e is missing',
      '/variables/list is missing',
    ]);
  });

  it('is named once where the text is made of the html', () => {
    expect(renderFaults({ html: '{{ a }}{% for i in items %}{{ i.b }}{% endfor %}' }, given)).toEqual([
      '/variables/a is missing',
      '/variables must give i.b, which the html asks for',
    ]);
  });

  it('is nothing when it is lenient', () => {
    expect(rendered({ html, missing: 'lenient' }, given).html).toBe('1');
  });

  it.each([
    '{{ u | default: "k" }}',
    '{% if u %}{% else %}k{% endif %}',
    '{% unless u %}k{% endunless %}',
    '{% if never %}{{ u }}{% endif %}k',
    '{% assign u = "k" %}{{ u }}',
    '{{ null_one | default: "k" }}',
    '{% assign found = items | where: "kind.name", "x" %}{{ found | map: "kind" | size }}k',
  ])('is no fault where the template handles it: %s', (text) => {
    expect(rendered({ text }, { never: false, null_one: null, items: [{}, { kind: {} }] }).text).toMatch(/^0?k$/);
  });
});

describe('a fault in a source', () => {
  it('is reported with line and column, for all parts at once', () => {
    const faults = faultsOf({
      subject: '{% if x %}',
      html: '<p>\n {{ a | foo }}',
      text: 'x {{ a',
      preheader: '{% nope %}',
    });
    expect(faults.map(({ path, message }) => `/${path.join('/')} ${message}`)).toEqual([
      '/subject line 1, column 1: tag {% if x %} not closed',
      '/html line 2, column 2: filter "foo" is not known here',
      '/text line 1, column 3: output "{{ a" not closed',
      '/preheader line 1, column 1: tag "nope" is not known here',
    ]);
  });

  it.each(['include', 'render', 'layout', 'block', 'liquid', 'tablerow'])('is the tag %s', (tag) => {
    expect(faultsOf({ html: `{% ${tag} "/etc/hosts" %}` })).toMatchObject([
      { path: ['html'], message: expect.stringMatching(/^line 1, column 1: tag "\w+" is not known here$/) },
    ]);
  });
});

describe('a subject', () => {
  it('is one line, whatever its variables are', () => {
    const evil = 'a\r\nBcc: eve@example.com\0\u2028b';
    expect(rendered({ subject: ' Hi {{ x }}\n ', text: 'x' }, { x: evil }).subject).toBe('Hi a Bcc: eve@example.com b');
  });

  it('that cannot be in a header is a fault', () => {
    expect(renderFaults({ subject: '{{ x }}', text: 'x' }, { x: 'x'.repeat(999) })[0]).toMatch(
      /^\/ its subject must be at most 998 characters$/,
    );
  });
});

it('the triple braces of Resend are read as two, and their value is escaped too', () => {
  expect(rendered({ html: '{{{NAME}}} {{{ n_2 }}}' }, { NAME: '<', n_2: 2 }).html).toBe('&lt; 2');
  expect(faultsOf({ html: '{{{NAME}}} {{ x | foo }}' })[0]?.message).toMatch(/^line 1, column 12: /);
});

it('triple braces stay as they are where Liquid is to leave them so', () => {
  const html = '{% raw %}{{{NAME}}}{% endraw %} {{{NAME}}} {%raw%}{{{ NAME }}}{%endraw%} {{{NAME}}}';
  expect(rendered({ html }, { NAME: 'Ada' }).html).toBe('{{{NAME}}} Ada {{{ NAME }}} Ada');
});

it('dates are in UTC and in English, or in the zone that is named', () => {
  const text =
    '{{ at | date: "%A, %B %e, %Y, %H:%M" }} {{ at | date: "%H:%M", "Europe/Berlin" }} {{ no | date: "%Y" }}';
  expect(rendered({ text }, { at: '2026-11-24T09:30:00Z', no: 'no date' }).text).toBe(
    'Tuesday, November 24, 2026, 09:30 10:30 no date',
  );
});

it('a value that a filter cannot use is a fault', () => {
  const says = (text: string) => renderFaults({ text }, { x: '%', at: 0 });
  expect(says('{{ x | url_decode }}')).toEqual(['/ its text URI malformed']);
  expect(says('{{ at | date: "%H", "Nowhere/Land" }}')).toEqual([
    expect.stringMatching(/^\/ its text .*Nowhere\/Land/),
  ]);
});

describe('a preheader', () => {
  const hidden = /<div style="display:none;[^"]*">Tom &amp; &lt;Ada&gt;(?:&#847;&zwnj;&nbsp;)+<\/div>/;

  it.each([
    ['<html><body class="a"><p>x</p></body></html>', /^<html><body class="a"><div /],
    ['<p>x</p>', /^<div /],
    ['{% if name %}<body>{% endif %}<p>x</p>', /^<div .*<body><p>x/],
    ['{{ "<body>" | raw }}<p>x</p>', /^<div /],
  ])('is at the top of %s, hidden and escaped, and not in the text', (html, start) => {
    const letter = rendered({ html, preheader: 'Tom & {{ name }}\n' }, { name: '<Ada>' });
    expect(letter.html).toMatch(start);
    expect(letter.html).toMatch(hidden);
    expect(letter.text).toBe('x');
  });

  it('has the link of its reader if it uses it', () => {
    const { html, text } = rendered({ html: '<p>x</p>', preheader: 'Stop: {{ unsubscribe_url }}' }, {});
    expect([html, text]).toEqual([expect.stringContaining('>Stop: {{unsubscribe_url}}&#847;'), 'x']);
  });

  it('that renders to nothing leaves nothing', () => {
    expect(rendered({ html: '<p>x</p>', preheader: '{{ name }}', missing: 'lenient' }).html).toBe('<p>x</p>');
  });
});

describe('the text of a template without one', () => {
  const order = {
    url: 'https://a.example/?a=1&b=2',
    items: [
      { name: 'Tea', price: 3 },
      { name: 'A & B', price: 7 },
    ],
  };

  it('is made of its html: paragraphs, lists, tables and links, without style and images', () => {
    const html = `<style>p{}</style><h1>Hello {{ name }}</h1><p>Thank you for <a href="{{ url }}">your
      order</a>.<img src="x" alt="y"></p>{% if vip %}<p>Dear</p>{% else %}<p>Cheap</p>{% endif %}
      <table>{% for item in items %}<tr><td>{{ item.name }}</td><td>{{ item.price }}</td></tr>{% endfor %}</table>
      <ul>{% for item in items %}<li>{{ item.name }}</li>{% endfor %}</ul><a href="{{ url }}">{{ url }}</a>`;
    expect(rendered({ html }, { ...order, name: '<Ada>', vip: false }).text).toBe(
      `Hello <Ada>

Thank you for your order [${order.url}].

Cheap

Tea 3
A & B 7

- Tea
- A & B

${order.url}`,
    );
  });

  it.each([
    ['markup in a variable', '<p>{{ body | raw }}</p>', 'a\n\nb'],
    ['a tag in an attribute', '<p {% assign x = "k" %}>{{ x }}</p>', 'k'],
    ['a tag in what is left out', '<style>{% assign x = "k" %}</style>{{ x }}', 'k'],
    ['braces that are entities', '<p>&#123;{ x }}</p>', '{{ x }}'],
    ['braces that are raw', '{% raw %}{{ x }}{% endraw %}', '{{ x }}'],
    ['private characters', '\u{E000}0\u{E001}{{ n }}', '\u{E000}0\u{E001}1'],
  ])('is made from the rendered html where the source is not enough: %s', (_, html, text) => {
    expect(rendered({ html }, { body: '<p>a</p><p>b</p>', n: 1 }).text).toBe(text);
  });

  it('is none without html', () => {
    expect(rendered({ subject: 'x', text: '' })).toEqual({ subject: 'x', html: null, text: '' });
  });
});
