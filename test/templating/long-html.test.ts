/** HTML as long as it may be, of whatever it is: what is looked for in it costs no more than it is long. */
import { expect, it } from 'vitest';
import { textOfHtml } from '../../src/templating/plain-text.ts';
import { withPreheader } from '../../src/templating/preheader.ts';
import { startCpuClock } from '../support/cpu.ts';

const length = 256 * 1024;

function costOf(html: string): number {
  const cpuMs = startCpuClock();
  withPreheader(html);
  return cpuMs();
}

it('a body that begins over and over is looked at once', () => {
  const plain = 'x'.repeat(length);
  costOf(plain);
  for (const piece of ['<body ', '<body\n', '<body a="', '<bod'])
    expect(costOf(piece.repeat(length / piece.length))).toBeLessThan(10 * costOf(plain) + 100);
});

it.each([
  ['<body>', 'x'],
  ['<html><BODY class="a">', '<body>'],
  ['<tbody><body\n style="a">', 'x'],
])('the preheader stands behind the start of the body: %s', (before, after) => {
  const [first = ''] = withPreheader(before + after);
  expect(first.startsWith(`${before}{% if `)).toBe(true);
  expect(first.endsWith(`{% endif %}${after}`)).toBe(true);
});

it.each(['x', '<body', '<bodyguard>', `<body ${'a'.repeat(2_000)}>`])(
  'and before everything where there is none',
  (html) => {
    expect(withPreheader(html)[0]?.endsWith(`{% endif %}${html}`)).toBe(true);
  },
);

it('text is made of the first 8,000 tags, and of all that stands between and behind fewer', () => {
  expect(textOfHtml('<b>a</b>'.repeat(10_000))).toBe('a'.repeat(4_000));
  expect(textOfHtml(`${'<b>a</b>'.repeat(4_000)} z`)).toBe(`${'a'.repeat(4_000)} z`);
});
