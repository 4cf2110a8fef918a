/** Results that are kept by key: of very many only those that were used lately. */

/** The least recently used first. */
export type Kept<T> = Map<string, Promise<T>>;

/**
 * What is kept under a key, or else what `make` makes, which is kept then. A failure is not kept: the next call tries again.
 * @param most how many are kept
 */
export function keptOr<T>(kept: Kept<T>, key: string, most: number, make: () => Promise<T>): Promise<T> {
  const one = kept.get(key) ?? make();
  kept.delete(key);
  kept.set(key, one);
  for (const oldest of kept.keys()) if (kept.size > most) kept.delete(oldest);
  return one.catch((error: unknown) => {
    kept.delete(key);
    throw error;
  });
}
