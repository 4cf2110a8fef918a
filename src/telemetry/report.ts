/** Reports: one function for each unit of work, which writes one wide line and counts the same, so that log and metrics cannot differ. */

import type { Log } from './log.ts';
import type { Meters } from './meters.ts';
import { makeMailReports } from './report-mail.ts';
import { makeProcessReports } from './report-process.ts';
import { makeRedisReports } from './report-redis.ts';
import { makeRequestReports } from './report-requests.ts';
import { makeTransportReports } from './report-transports.ts';
import { makeWebhookReports } from './report-webhooks.ts';

export type Reports = ReturnType<typeof openReports>;

type Clocks = {
  /** The clock that emails have their times from. */
  now(): number;
  /** Milliseconds of a clock that never goes back. */
  monotonicNow(): number;
};

/** @param commonTrouble the kind of a trouble that all work in hand meets at once, as when Redis is full; null for any other */
export function openReports(
  log: Log,
  meters: Meters,
  { now, monotonicNow }: Clocks,
  commonTrouble: (error: unknown) => string | null,
) {
  return {
    ...makeRequestReports(log, meters),
    ...makeMailReports(log, meters, now),
    ...makeWebhookReports(log, meters),
    ...makeTransportReports(log, meters),
    ...makeRedisReports(log, meters),
    ...makeProcessReports(log, monotonicNow, commonTrouble),
  };
}
