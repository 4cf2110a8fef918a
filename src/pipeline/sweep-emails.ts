/** sweep-emails: indexes emails not indexed yet, then removes content and records past retention. Mail that waits or is held is never removed. */
import type { Emails } from '../store/emails.ts';
import type { Removed, Retention } from '../store/retention.ts';

type Deps = {
  emails: Pick<Emails, 'indexSome'>;
  retention: Retention;
  /** How long each is kept once the email has ended, in milliseconds. */
  keepMs: { readonly content: number; readonly record: number };
  report(forgotten: { contents: number; records: number }): void;
  now(): number;
};

/**
 * Batch after batch, until nothing is left whose time is over, or another worker is at it. Nothing is removed before it is indexed: that would
 * stay.
 */
export async function sweepEmails({ emails, retention, keepMs, report, now }: Deps, stop: AbortSignal): Promise<void> {
  while (!stop.aborted && (await emails.indexSome()) > 0);
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
