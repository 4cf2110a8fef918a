/** A batch is read with other work in between: before each email when it is checked, and again when it is hashed. */
import { expect, it } from 'vitest';
import { adminKey } from '../../src/domain/api-key.ts';
import { batchSchemasFor } from '../../src/domain/batch.ts';
import { knownOf } from '../../src/domain/idempotency.ts';
import { readEntries } from '../../src/http/batch-entries.ts';
import { makeTurns } from '../../src/templating/turns.ts';
import { good, testLimits } from '../support/requests.ts';

const schemas = batchSchemasFor(testLimits);

it.each([
  ['alone', (messages: readonly object[]) => messages.map((message) => ({ ...good, ...message }))],
  ['over a base', (messages: readonly object[]) => ({ base: good, messages })],
])('keyed emails %s are checked and hashed one by one, and the event loop turns before each', async (_, bodyOf) => {
  let ms = 0;
  let isDone = false;
  const done: string[] = [];
  const tick = () => {
    if (done.at(-1) !== 'other') done.push('other');
    if (!isDone) setImmediate(tick);
  };
  setImmediate(tick);
  /** Each look at it takes as long as a whole turn. */
  const slow = (name: string) => ({
    get read() {
      ms += 25;
      if (done.at(-1) !== name) done.push(name);
      return name;
    },
  });
  const emails = ['a', 'b', 'c', 'd'];
  const body = bodyOf(emails.map((name) => ({ metadata: slow(name), idempotency_key: name })));
  const { entries } = await readEntries({ schemas, yieldTurn: makeTurns(() => ms) }, schemas.body.parse(body), {
    apiKey: adminKey,
    known: knownOf(body),
    maxIssues: 0,
  });
  isDone = true;
  expect(new Set(entries.map(({ claim }) => claim?.bodyHash)).size).toBe(4);
  expect(done.slice(done.indexOf('a'))).toEqual([...emails, ...emails].flatMap((name) => [name, 'other']).slice(0, -1));
});
