/** Group commit: all requests of one turn of the event loop are done by one command and share its cost. */

export type Member = {
  /** No two members of a group have the same claim, because a group is decided as if its members came at the same time. */
  readonly claim: string | null;
  /** Bytes that the member adds to the command. */
  readonly bytes: number;
  /** Steps of the command that it makes beyond the usual few. */
  readonly steps?: number;
};

/** Members, bytes and steps of one command: enough to share its cost, few enough not to hold up Redis. */
const maxMembers = 100;
const maxBytes = 1024 * 1024;
const maxSteps = 1_000;

/**
 * Runs `commit` with the members of each turn and gives every caller its own result. `commit` returns results in the order of its members;
 * when it fails, all its members fail.
 * @param gatherMs how long members are collected, instead of one turn: for members that come one by one and are cheaper together
 */
export function makeGroup<M extends Member, R>(commit: (members: readonly M[]) => Promise<readonly R[]>, gatherMs = 0) {
  type Waiting = { readonly member: M; resolve(result: R): void; reject(error: unknown): void };
  let waiting: Waiting[] = [];
  let claims = new Set<string>();
  let bytes = 0;
  let steps = 0;

  let timer: NodeJS.Timeout | undefined;

  function begin(): void {
    if (gatherMs === 0) setImmediate(flush);
    else timer = setTimeout(flush, gatherMs);
  }

  function flush(): void {
    clearTimeout(timer);
    const group = waiting;
    if (group.length === 0) return;
    waiting = [];
    claims = new Set();
    bytes = 0;
    steps = 0;
    commit(group.map(({ member }) => member)).then(
      (results) => {
        for (const [index, { resolve }] of group.entries()) resolve(results[index] as R);
      },
      (error: unknown) => {
        for (const { reject } of group) reject(error);
      },
    );
  }

  return (member: M): Promise<R> => {
    const { claim, steps: own = 0 } = member;
    const isFull = waiting.length === maxMembers || bytes + member.bytes > maxBytes || steps + own > maxSteps;
    if (isFull || (claim !== null && claims.has(claim))) flush();
    if (waiting.length === 0) begin();
    if (claim !== null) claims.add(claim);
    bytes += member.bytes;
    steps += own;
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    waiting.push({ member, resolve, reject });
    return promise;
  };
}
