/** Event types that a request asks for. */
import { expect, it } from 'vitest';
import { eventTypes } from '../../src/domain/event.ts';
import { askedTypes } from '../../src/domain/event-types.ts';

it('a type stands for itself, and a noun with a star for all of its types; each is there once', () => {
  expect(askedTypes.parse(['email.sent', 'transport.*', 'transport.degraded', 'email.sent'])).toEqual([
    'email.sent',
    'transport.degraded',
    'transport.recovered',
  ]);
  expect(askedTypes.parse(['email.*', 'campaign.*', 'transport.*', 'webhook.*'])).toEqual(eventTypes);
});

it.each(['*', 'email', 'email.', 'email.s*', 'emails.*'])('%s stands for none', (pattern) => {
  expect(askedTypes.safeParse([pattern]).success).toBe(false);
});
