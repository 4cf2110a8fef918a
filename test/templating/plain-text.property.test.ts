/** The text that is made of the source of an HTML says what the text of the HTML says once it is rendered. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { textOfHtml } from '../../src/templating/plain-text.ts';
import { rendered } from '../support/templates.ts';

const variables = { name: 'Ada', city: 'Paris', yes: true, no: false, items: [{ n: 'one' }, { n: 'two' }] };

const { html } = fc.letrec<{ html: string }>((tie) => {
  const inner = fc.array(tie('html'), { maxLength: 3 }).map((parts) => parts.join(' '));
  const around = (tag: string) => inner.map((body) => `<${tag}>${body}</${tag.split(' ')[0]}>`);
  return {
    html: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        'word',
        '{{ name }}',
        '{{ city | upcase }}',
        '&amp; &lt;',
        '<br>',
        '<img alt="{{ name }}">',
        '{{ items[0].n }}',
        '<style>{{ name }}</style>',
        '<title>{% if no %}x{% endif %}</title>',
      ),
      fc
        .constantFrom(
          'p',
          'div',
          'b',
          'h2',
          'a href="https://x.example/{{ name }}"',
          'ul',
          'li',
          'table',
          'tr',
          'td',
          'p style="x"',
        )
        .chain(around),
      fc.constantFrom('head', 'p title="{% if yes %}x{% endif %}"').chain(around),
      fc
        .tuple(fc.constantFrom('yes', 'no', 'name == "Ada"'), inner, inner)
        .map(([one, a, b]) => `{% if ${one} %}${a}{% else %}${b}{% endif %}`),
      inner
        .filter((body) => !body.includes('{% for'))
        .map((body) => `{% for item in items %}${body} {{ item.n }} {% endfor %}`),
      fc.constantFrom(
        '{% assign name = "Eve" %}',
        '{%- if yes -%} a {%- endif -%}',
        '{% comment %}<p>{{ x }}{% endcomment %}',
      ),
    ),
  };
});

it('whatever the HTML is made of', () => {
  /** Without spaces and brackets: a link that may come to no text has its address in brackets, as no one knows beforehand. */
  const words = (text: string | null) => text?.replace(/[\s[\]]+/g, '');
  fc.assert(
    fc.property(fc.array(html, { maxLength: 5 }), (parts) => {
      const letter = rendered({ html: parts.join('\n') }, variables);
      expect(words(letter.text)).toEqual(words(textOfHtml(letter.html ?? '')));
    }),
    { numRuns: 500 },
  );
});
