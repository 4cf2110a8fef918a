/** HTML as long as it may be, of whatever it is: what is looked for in it costs no more than it is long. */
import { expect, it } from 'vitest';
import { textOfHtml } from '../../src/templating/plain-text.ts';
import { withPreheader } from '../../src/templating/preheader.ts';
import { startCpuClock } from '../support/cpu.ts';
import { rendered } from '../support/templates.ts';

const length = 256 * 1024;

function costOfText(html: string): number {
  const cpuMs = startCpuClock();
  textOfHtml(html);
  return cpuMs();
}

function costOf(html: string): number {
  const cpuMs = startCpuClock();
  withPreheader(html);
  return cpuMs();
}

it('a body that begins over and over is looked at once', () => {
  const plain = 'x'.repeat(length);
  costOf(plain);
  for (const piece of ['<body ', '<body\n', '<body a="', '<bod', '<!--', '<!-->', '<!-- -->', '</head', '<!doctype '])
    expect(costOf(piece.repeat(length / piece.length))).toBeLessThan(10 * costOf(plain) + 100);
});

it.each([
  ['<body>', 'x'],
  ['<html><BODY class="a">', '<body>'],
  ['<tbody><body\n style="a">', 'x'],
  ['<body class="md:a>b" title=\'"a">\'>', 'x'],
  ['{% if a %}<title>a</title>{% endif %}<body>', '{% if b %}<p>{% endif %}'],
  ['<!--[if mso]><body class="m"><![endif]--><body>', 'x'],
  ['<!--[if !mso]><!--><body>', '<!--<![endif]-->x'],
  ['<!doctype html><html><head><!-- </head> --><title>x</title></head>', '<p>x</p>'],
  ['<!-- ours -->\n<!DOCTYPE html>', '<p>x</p>'],
])('the preheader comes after the start of the body: %s', (before, after) => {
  const [first = ''] = withPreheader(before + after);
  expect(first.startsWith(`${before}{% if `)).toBe(true);
  expect(first.endsWith(`{% endif %}${after}`)).toBe(true);
});

it.each([
  ...['x', '<body', '<bodyguard>', `<body ${'a'.repeat(2_000)}>`],
  '{% if rtl %}<body dir="rtl">{% else %}<body>{% endif %}x',
  '{%- unless plain -%}<body class="a">{%- endunless -%}x',
])('and before everything if there is no body, or if a condition decides how it begins', (html) => {
  expect(withPreheader(html)[0]?.endsWith(`{% endif %}${html}`)).toBe(true);
});

it('the text is made from the first 8,000 tags, or from the whole HTML when it has fewer', () => {
  expect(textOfHtml('<b>a</b>'.repeat(10_000))).toBe('a'.repeat(4_000));
  expect(textOfHtml(`${'<b>a</b>'.repeat(4_000)} z`)).toBe(`${'a'.repeat(4_000)} z`);
});

const deep = (body: string) => `${'<blockquote>'.repeat(98)}${body}`;

it.each([
  ['short lines in quotes in quotes', deep(`<pre>${'a\n'.repeat(48_000)}`)],
  ['breaks in them', deep('a<br>'.repeat(7_800))],
  ['rules', '<hr>'.repeat(8_000)],
])('a text is cut at 100 KB, and takes no longer for %s', (_, html) => {
  const usual = costOfText('<p>Hello</p>'.repeat(3_000));
  expect(costOfText(html)).toBeLessThan(10 * usual + 250);
  expect(textOfHtml(html).length).toBeLessThanOrEqual(100 * 1024);
  const letter = rendered({ html });
  expect(letter.text?.length).toBeGreaterThan(50_000);
  expect(letter.text?.length).toBeLessThanOrEqual(100 * 1024);
});

it('a letter does not fail because of its text: a text over the limit is cut', () => {
  const html = deep('<p>{% for item in items %}{{ item }}<br>{% endfor %}</p>');
  const items = Array.from({ length: 7_000 }, (_, n) => n);
  expect(rendered({ html: '<blockquote>a<br>{{ b }}</blockquote>' }, { b: 'c' }).text).toBe('> a\n> c');
  const { text } = rendered({ html }, { items });
  expect(text?.startsWith(`${'> '.repeat(98)}0\n`)).toBe(true);
  expect(text?.length).toBeLessThanOrEqual(100 * 1024);
});
