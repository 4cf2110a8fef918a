/** Work that goes on in the background, and that a stop waits for. */

type Background = {
  /** Takes work that never rejects. */
  run(work: Promise<void>): void;
  /** Resolves when what goes on now has ended. */
  ended(): Promise<void>;
};

export function makeBackground(): Background {
  const works = new Set<Promise<void>>();
  return {
    run(work) {
      works.add(work);
      void work.finally(() => works.delete(work));
    },
    async ended() {
      await Promise.all(works);
    },
  };
}
