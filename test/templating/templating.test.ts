/** Templates at hand: each version is compiled once in a process, and the one that was used least lately makes room. */

import { expect, it } from 'vitest';
import { cpuMs, monotonicNow } from '../../src/chance.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import { contentOf } from '../support/templates.ts';

it('a version is loaded once, however many ask for it at once, until others need its room', async () => {
  const templating = openTemplating({ now: monotonicNow, cpuMs });
  const loads: number[] = [];
  const ask = (version: number) =>
    templating.compiled({ id: 'tp_1', version }, async () => {
      loads.push(version);
      return contentOf({ html: 'x'.repeat(200_000) });
    });
  await Promise.all([ask(0), ask(0), ask(1)]);
  expect(loads).toEqual([0, 1]);
  for (let version = 2; version < 25; version++) {
    await ask(0);
    await ask(version);
  }
  await ask(24);
  expect(loads).toEqual(Array.from({ length: 25 }, (_, version) => version));
  await ask(1);
  expect(loads.at(-1)).toBe(1);
});
