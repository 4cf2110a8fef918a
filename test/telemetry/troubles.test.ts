/** Troubles: what is said, and what is held back because it was said a moment ago. */
import { expect, it } from 'vitest';
import { makeTroubles } from '../../src/telemetry/troubles.ts';

it('the same trouble of a part is logged once a minute, with the number of occurrences; another is logged at once', () => {
  let now = 0;
  const troubles = makeTroubles(() => now);
  expect(troubles.weigh('tend', 'away')).toBe(0);
  for (now = 1_000; now < 60_000; now += 1_000) expect(troubles.weigh('tend', 'away')).toBeNull();
  expect(troubles.weigh('gauge', 'away')).toBe(0);
  expect(troubles.weigh('tend', 'away')).toBe(59);
  expect(troubles.weigh('tend', 'away')).toBeNull();
  expect(troubles.weigh('tend', 'full')).toBe(0);
  expect(troubles.weigh('tend', 'away')).toBeNull();
});

it('as many troubles are remembered as one minute may bring, the latest', () => {
  const troubles = makeTroubles(() => 0);
  for (let n = 0; n <= 1_000; n++) expect(troubles.weigh('deliver', 'unreadable', { email: n })).toBe(0);
  for (let n = 1; n <= 1_000; n++) expect(troubles.weigh('deliver', 'unreadable', { email: n })).toBeNull();
  expect(troubles.weigh('deliver', 'unreadable', { email: 0 })).toBe(0);
});

it('more emails in trouble than are remembered push out no trouble that everything meets', () => {
  const troubles = makeTroubles(() => 0);
  expect(troubles.weigh('check back-pressure', 'full')).toBe(0);
  for (let n = 0; n < 1_200; n++) troubles.weigh('deliver', 'unreadable', { email: n });
  expect(troubles.weigh('check back-pressure', 'full')).toBeNull();
});

it('alternating troubles of a part are logged once a minute each', () => {
  const troubles = makeTroubles(() => 0);
  const said = ['reset', 'closed', 'reset', 'closed', 'reset'].map((message) => troubles.weigh('deliver', message));
  expect(said).toEqual([0, 0, null, null, null]);
});
