/** Whether the keys of readers still hold. */
import { adminKey } from '../../domain/api-key.ts';

/** Asked in one turn of the event loop by all readers of a key, as each event wakes them all, it is one look-up: nothing that is told then was heard later. */
export function openHolding(apiKeys: { get(id: string): Promise<unknown> }): (keyId: string) => Promise<boolean> {
  const asked = new Map<string, Promise<boolean>>();

  async function ask(keyId: string): Promise<boolean> {
    // While Redis is away, nobody can say so, and nothing new is told either.
    return (await apiKeys.get(keyId).catch(() => keyId)) !== null;
  }

  return async (keyId) => {
    if (keyId === adminKey.id) return true;
    const answer = asked.get(keyId) ?? ask(keyId);
    if (!asked.has(keyId)) process.nextTick(() => asked.delete(keyId));
    asked.set(keyId, answer);
    return answer;
  };
}
