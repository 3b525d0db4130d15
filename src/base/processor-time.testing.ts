/**
 * Milliseconds that this thread has worked for `work`. Bounds of time belong on these: what else the machine does hardly
 * changes them, as it does the time on the clock.
 */
export function processorMs(work: () => unknown): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}
