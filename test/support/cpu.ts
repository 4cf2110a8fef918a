/** How much CPU something takes, which is the same on a busy machine, where how long it takes is not. */

/** @returns what tells the CPU time of this process since then, milliseconds */
export function startCpuClock(): () => number {
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
}
