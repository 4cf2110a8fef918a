/** Reports of transports: their file, each probe, a plan that lets one hold up all, and the tokens of their accounts. */

import { maskAddresses } from '../domain/address.ts';
import type { PlanReading } from '../domain/transport-plan.ts';
import type { Log } from './log.ts';
import type { Meters } from './meters.ts';

const planWords = {
  changed: 'TRANSPORTS_FILE was read again',
  mended: 'TRANSPORTS_FILE was read again and is valid again: transports, routes and rules stay as they were',
  same: 'TRANSPORTS_FILE is the same as before',
  none: 'there is no TRANSPORTS_FILE, and nothing else is read again',
} as const satisfies Record<Extract<PlanReading, string>, string>;

export function makeTransportReports(log: Log, meters: Pick<Meters, 'transportsFile'>) {
  return {
    plan(reading: PlanReading): void {
      if (typeof reading === 'string') log.info({}, planWords[reading]);
      else
        log.error({ faults: reading.faults }, 'TRANSPORTS_FILE is wrong, and its last valid content is still in use');
      meters.transportsFile(typeof reading !== 'string');
    },

    /** @param places emails of one lane that a worker processes at a time */
    crowding(transports: readonly string[], places: number): void {
      const words =
        'a transport whose server hangs could hold up all other mail: lower its connections or raise WORKER_CONCURRENCY';
      if (transports.length > 0) log.warn({ transports, worker_concurrency: places }, words);
    },

    probed({ transport, ms, fault }: { transport: string; ms: number; fault: { detail: string } | null }): void {
      if (fault === null) log.info({ transport, ms }, 'probe');
      else log.warn({ transport, ms, detail: maskAddresses(fault.detail) }, 'probe');
    },

    /** Follows a `trouble` that the token could not be stored. @param host the server that issued it */
    tokenStored(host: string): void {
      log.info({ host }, 'the refresh token is stored');
    },
  };
}
