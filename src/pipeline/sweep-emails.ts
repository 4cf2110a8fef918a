/** sweep-emails: removes the content and the records of emails that ended, once past retention. Mail that waits or is held is never touched. */
import type { Removed, Retention } from '../store/retention.ts';

type Deps = {
  retention: Retention;
  /** How long each is kept once the email has ended, in milliseconds. */
  keepMs: { readonly content: number; readonly record: number };
  report(forgotten: { contents: number; records: number }): void;
  now(): number;
};

/** Removes batch after batch until nothing past retention is left, or another worker is doing it. */
export async function sweepEmails({ retention, keepMs, report, now }: Deps, stop: AbortSignal): Promise<void> {
  const contents = await removeAll(() => retention.dropContents(now() - keepMs.content), stop);
  const records = await removeAll(() => retention.dropRecords(now() - keepMs.record), stop);
  if (contents + records > 0) report({ contents, records });
}

async function removeAll(step: () => Promise<Removed>, stop: AbortSignal): Promise<number> {
  let sum = 0;
  while (!stop.aborted) {
    const removed = await step();
    if (removed === null) break;
    sum += removed;
  }
  return sum;
}
