/** Stands for a function that a test must not need. */
export function unused(): never {
  throw new Error('not for this test');
}
