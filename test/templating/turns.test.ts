/** Turns of those who make letters: one at a time, each in order, and other work between any two. */
import { expect, it } from 'vitest';
import { makeTurns } from '../../src/templating/turns.ts';

/** What each of `names` did, `rounds` times each, and `other` for every round of the event loop meanwhile. */
async function runAll(names: readonly string[], rounds: number, workMs: number): Promise<string[]> {
  let ms = 0;
  let isDone = false;
  const done: string[] = [];
  const yieldTurn = makeTurns(() => ms);
  const tick = () => {
    done.push('other');
    if (!isDone) setImmediate(tick);
  };
  setImmediate(tick);
  const work = async (name: string) => {
    for (let round = 0; round < rounds; round++) {
      await yieldTurn();
      done.push(name);
      ms += workMs;
    }
  };
  await Promise.all(names.map(work));
  isDone = true;
  return done;
}

it('long work of many comes to one piece between two rounds of other work, and each has its turn in order', async () => {
  const done = await runAll(['a', 'b', 'c'], 3, 150);
  expect(done.filter((name) => name !== 'other')).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']);
  expect(done.filter((name, n) => name !== 'other' && (done[n + 1] ?? 'other') !== 'other')).toEqual([]);
});

it('short work goes on without a wait until its turn is over', async () => {
  const done = await runAll(['a'], 6, 7);
  expect(
    done
      .join(' ')
      .replaceAll(/(?:other ?)+/g, '| ')
      .trim(),
  ).toBe('| a a a | a a a');
});

it('a caller that comes while others wait and no turn runs gets the last turn', async () => {
  let ms = 0;
  const yieldTurn = makeTurns(() => ms);
  const done: string[] = [];
  const work = async (name: string) => {
    await yieldTurn();
    done.push(name);
    ms += 150;
    if (name === 'a') await work('late');
  };
  await Promise.all([work('a'), work('b'), work('c')]);
  expect(done).toEqual(['a', 'b', 'c', 'late']);
});
