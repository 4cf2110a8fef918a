/** What templates come to here is what Liquid itself makes of them, wherever we do not mean otherwise. */
import { Liquid } from 'liquidjs';
import { expect, it } from 'vitest';
import { rendered } from '../support/templates.ts';

const variables = {
  name: 'Ada Lovelace',
  empty_text: '',
  n: 7,
  price: 12.5,
  vip: true,
  none: null,
  tags: ['b', 'a', 'c', 'a'],
  items: [
    { name: 'Tea', price: 3, kind: 'drink' },
    { name: 'Bread', price: 2, kind: 'food' },
    { name: 'Milk', price: 1, kind: 'drink' },
  ],
};

it.each([
  '{% for i in items %}{{ forloop.index }}/{{ forloop.length }} {{ i.name }};{% endfor %}',
  '{% for i in items %}{% if forloop.first %}[{% endif %}{{ i.name }}{% if forloop.last %}]{% else %}, {% endif %}{% endfor %}',
  '{% for i in items %}{% unless forloop.last %}{{ i.name }}, {% endunless %}{% endfor %}',
  '{% for i in items %}{% if forloop %}{{ forloop.rindex0 }}{% endif %}{% endfor %}',
  '{% for i in items %}{% assign loop = forloop %}{{ loop.index0 }}{% endfor %}',
  '{% for i in items %}{{ forloop | size }}{{ forloop.index | times: 2 }}{{ i.name | append: forloop.rindex }}{% endfor %}',
  '{% for i in items %}{% for t in tags %}{% if forloop.index == 2 %}{{ t }}{% endif %}{% endfor %}{% endfor %}',
  '{% for i in items %}{% case forloop.index %}{% when 1 %}one{% when 2, 3 %}more{% endcase %}{% endfor %}',
  '{% for i in items reversed %}{{ i.name }}{% endfor %}{% for i in items limit: 1 offset: 1 %}{{ i.name }}{% endfor %}',
  '{% for i in (1..n) %}{% if i == 5 %}{% break %}{% endif %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}',
  '{% for i in none %}x{% else %}nothing{% endfor %}',
  '{% if vip and n > 5 or none %}yes{% else %}no{% endif %}{% if none == nil %}nil{% endif %}',
  '{% if empty_text == empty %}empty{% endif %}{% if tags == empty %}no{% endif %}{% if empty_text == blank %}blank{% endif %}',
  '{% if name contains "Love" %}y{% endif %}{% if tags contains "c" %}y{% endif %}{% if tags contains "z" %}n{% endif %}',
  '{% unless n >= 8 %}small{% endunless %}{% if n != 7 %}n{% elsif n <= 7 %}y{% endif %}',
  '{{ name | upcase }} {{ name | downcase | capitalize }} {{ name | size }} {{ name.size }}',
  '{{ name | split: " " | last }} {{ name | split: "" | reverse | join: "" }} {{ name | slice: 0, 3 }}',
  '{{ name | replace: "a", "o" }} {{ name | replace_first: "a", "o" }} {{ name | remove: "e" }} {{ name | remove_first: "e" }}',
  '{{ name | replace_last: "a", "$&" }} {{ name | remove_last: "e" }} {{ name | replace: "Ada", "$1" }}',
  '{{ name | truncate: 6 }} {{ name | truncate: 6, "" }} {{ name | truncatewords: 1 }} {{ "  x y  " | strip }}|{{ " x " | lstrip }}|{{ " x " | rstrip }}',
  '{{ name | url_encode }} {{ "a%20b" | url_decode }} {{ name | slugify }} {{ "a  b" | squish }} {{ name | number_of_words }}',
  '{{ "<p>a</p><!-- x -->b" | strip_html }} {{ "a\nb" | newline_to_br }}',
  '{{ n | plus: 1 }} {{ n | minus: 1 }} {{ n | times: price }} {{ n | divided_by: 2 }} {{ n | modulo: 4 }} {{ price | round }} {{ price | ceil }} {{ price | floor }}',
  '{{ n | at_least: 9 }} {{ n | at_most: 3 }} {{ -3 | abs }} {{ 3.14159 | round: 2 }}',
  '{{ tags | sort | join }} {{ tags | uniq | join: "," }} {{ tags | first }} {{ tags | last }} {{ tags | reverse | join }} {{ tags | size }}',
  '{{ items | map: "name" | join: ", " }} {{ items | where: "kind", "drink" | map: "name" | join }} {{ items | reject: "kind", "drink" | size }}',
  '{% assign dear = items | sort: "price" | last %}{{ dear.name }} {{ items | sum: "price" }} {% assign f = items | find: "name", "Milk" %}{{ f.price }}',
  '{{ tags | concat: tags | compact | size }} {{ items | has: "name", "Tea" }} {{ items | find_index: "name", "Milk" }}',
  '{{ none | default: "friend" }} {{ empty_text | default: "x" }} {{ false | default: true, allow_false: true }}',
  '{{ "2026-11-24T09:30:00Z" | date: "%A, %d %B %Y %H:%M" }} {{ 0 | date: "%Y-%m-%d" }}',
  '{% assign x = name | append: "!" %}{{ x }}{% capture y %}{{ x }}{{ n }}{% endcapture %}{{ y }}{% increment c %}{% increment c %}{% decrement d %}',
  '{% cycle "a", "b" %}{% cycle "a", "b" %}{% cycle "a", "b" %} {% raw %}{{ x }}{% endraw %}{% comment %}no{% endcomment %}{%- if vip -%} y {%- endif -%}',
  '{{ items[1].name }} {{ items.first.name }} {{ items[-1].name }} {{ tags[n] }} {{ nothing.at.all }}',
])('%s', (text) => {
  const liquid = new Liquid({ timezoneOffset: 0, locale: 'en-US', ownPropertyOnly: true });
  // Counters are written into what the library is given.
  const usual = liquid.parseAndRenderSync(text, structuredClone(variables));
  expect(rendered({ text, missing: 'lenient' }, variables).text).toBe(usual);
});
