/** Reports of the API: each request, the mail that it accepted, the mail that it refuses, and removals from the suppression list. */

import { maskAddress } from '../domain/address.ts';
import type { LimitPassed } from '../domain/back-pressure.ts';
import type { NewEmail } from '../domain/email.ts';
import type { RefusalReason } from '../domain/problem.ts';
import type { Suppression } from '../domain/suppression.ts';
import { type Log, maxIds } from './log.ts';
import type { Meters } from './meters.ts';

type Request = {
  readonly id: string;
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly keyId: string | null;
  readonly refusal: RefusalReason | null;
  readonly takesMail: boolean;
};

type Accepted = { readonly requestId: string; readonly keyId: string; readonly emails: readonly NewEmail[] };

export function makeRequestReports(log: Log, meters: Pick<Meters, 'request' | 'refused' | 'accepted' | 'entered'>) {
  return {
    request({ id, method, route, status, ms, keyId, refusal, takesMail }: Request): void {
      const problem = refusal === null ? {} : { problem: refusal };
      log.info({ id, method, route, status, ms: Math.round(ms), key_id: keyId, ...problem }, 'request');
      meters.request(route, method, status, ms);
      if (refusal !== null) meters.refused(refusal, takesMail);
    },

    accepted({ requestId, keyId, emails }: Accepted): void {
      const ids = emails.slice(0, maxIds).map(({ facts }) => facts.id);
      log.info({ request_id: requestId, key_id: keyId, emails: emails.length, email_ids: ids }, 'accept');
      for (const { facts, state } of emails) {
        meters.accepted(facts.lane);
        for (const { status } of state.recipients) meters.entered(facts.lane, status);
      }
    },

    /** @param over which lanes take no new mail, and why; null when all of them do again */
    backPressure(over: LimitPassed | null): void {
      if (over === null) log.info({}, 'new mail is taken again');
      else log.warn({ ...over }, 'new mail is refused');
    },

    unsuppressed({ suppression, keyId }: { suppression: Suppression; keyId: string }): void {
      const { id, address, scope, reason } = suppression;
      log.info({ suppression_id: id, to: maskAddress(address), scope, reason, key_id: keyId }, 'unsuppressed');
    },
  };
}
