/** The wait that a reply names, in the ways that servers name one, and what is no such wait. */
import { expect, it } from 'vitest';
import { classify, parseReply } from '../../src/domain/classify.ts';

const minute = 60_000;
const hour = 60 * minute;

it.each([
  ['try again in 300 seconds', 5 * minute],
  ['please retry in 5 minutes', 5 * minute],
  ['Greylisted for 300 seconds (see http://example.org/)', 5 * minute],
  ['Greylisted, retry after 00:05:00', 5 * minute],
  ['Greylisting in action, please come back in 00:04:32', 4 * minute + 32_000],
  ['try again later (in 1 hour)', hour],
  ['Too much mail, try again in 4 hours', 4 * hour],
  ['You have been graylisted for 5 min.', 5 * minute],
  ['Please wait 90 secs before retrying', 90_000],
  ['Please allow at least 10 minutes', 10 * minute],
  ['Greylisted, will be allowed after 299 seconds', 299_000],
  ['Temporarily deferred, try again in an hour', hour],
  ['try again in one minute', minute],
  ['retry in 1 hour and 30 minutes', 90 * minute],
  ['retry in 4m30s', 4 * minute + 30_000],
  ['try again in 4m 30s', 4 * minute + 30_000],
  ['Retry-After: 120 seconds', 2 * minute],
  ['try again in\n451 120 seconds', 2 * minute],
  ['TRY AGAIN IN 2 HOURS', 2 * hour],
  ['try again in 1.5 hours', 90 * minute],
  ['try again in 24 hours', 24 * hour],
  ['try again in 1 second', 1_000],
  ['Try again in five minutes', 5 * minute],
  ['please come back in forty-five minutes', 45 * minute],
  ['wait two hours and thirty minutes', 150 * minute],
  ['retry after 00:05:00', 5 * minute],
  ['Retry-After: PT5M', 5 * minute],
  ['Greylisted; try again in PT1H30M.', 90 * minute],
  ['retry after PT90S', 90_000],
])('451 %s', (words, waitMs) => {
  expect(classify(parseReply(`451 ${words}`)).waitMs).toBe(waitMs);
});

it.each([
  'try again later',
  'try again in a few minutes',
  'try again in 25 hours',
  'try again in 0 seconds',
  'try again in 2 days',
  'try again in 999999 days',
  'Too many messages, try again later. Limit: 100 messages per 1 hour',
  'You sent 300 messages in 1 hour, try again later',
  'try again later; you sent too many in the last 24 hours',
  'Mailbox full for 3 days',
  'Please retry from 192.0.2.1 sometime',
  'try again in 300 messages',
  'retry after 14:05',
  'retry after PT',
  'retry after PT5',
  'try again in two days',
  'try again in several minutes',
  'try again, one of two hosts is down for 3 hours',
])('451 %s names none that is followed', (words) => {
  expect(classify(parseReply(`451 ${words}`)).waitMs).toBeNull();
});

it('is none where nothing is tried again because of the reply', () => {
  for (const code of [250, 550, 535]) expect(classify(parseReply(`${code} try again in 5 minutes`)).waitMs).toBeNull();
});
