/** Tells whether the keys of requests that last are still valid: of live streams and of uploads. */
import { adminKey } from '../domain/api-key.ts';

/**
 * Each event wakes all readers of streams. All that ask about one key in the same turn of the event loop share one look-up, which is no older
 * than the event.
 */
export function openKeyCheck(apiKeys: { get(id: string): Promise<unknown> }): (keyId: string) => Promise<boolean> {
  const asked = new Map<string, Promise<boolean>>();

  async function ask(keyId: string): Promise<boolean> {
    // While Redis is away nobody knows, and no new event comes either. So the key counts as valid.
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
