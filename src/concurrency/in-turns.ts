/** Long lists in turns: other work runs between them. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** The same items. The event loop turns after each `perTurn` of them. */
export async function* inTurns<Item>(items: Iterable<Item>, perTurn: number): AsyncGenerator<Item, void, undefined> {
  let taken = 0;
  for (const item of items) {
    if (taken > 0 && taken % perTurn === 0) await nextTurn();
    taken += 1;
    yield item;
  }
}
