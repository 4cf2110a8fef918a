/** Reports of mail: what became of each email, of each slice of a campaign, and what was forgotten when its time was over. */

import { maskAddress, maskAddresses } from '../domain/address.ts';
import type { Fetched } from '../domain/attachment.ts';
import type { CampaignStatus } from '../domain/campaign.ts';
import type { Decision } from '../domain/decide.ts';
import { type StoredEmail, statusOf } from '../domain/email.ts';
import { isoOrNull } from '../domain/iso-time.ts';
import { attemptOutcomeOf, statesEntered, waitBefore } from '../domain/ledger.ts';
import { type AttemptTrace, type Change, type SettledOutcome, transportAsked } from '../domain/outcome.ts';
import type { Log } from './log.ts';
import type { Meters } from './meters.ts';

/** An attempt at an email, or a change of it, and what followed. */
type Settled = {
  readonly email: StoredEmail;
  readonly what: SettledOutcome | Change;
  readonly decision: Decision;
};

/** The end of a fetch of one file. */
type FetchReported = {
  readonly email: StoredEmail;
  /** The rest of the URL may be secret. */
  readonly host: string;
  readonly outcome: Fetched['kind'];
};

/** One slice of a campaign, and what became of its recipients. */
type SliceReported = {
  readonly take: { readonly campaignId: string; readonly slice: number };
  readonly settled: readonly Settled[];
  readonly isHeldUp: boolean;
  readonly waitsFor: ReadonlySet<string>;
  readonly ms: number;
};

type CampaignReported = {
  readonly campaignId: string;
  readonly status: CampaignStatus;
  readonly recipients: number;
};

type MailMeters = Pick<Meters, 'entered' | 'attempt' | 'fetched' | 'queueWait' | 'acceptToSent'>;

/** @param now the clock that emails have their times from */
export function makeMailReports(log: Log, meters: MailMeters, now: () => number) {
  return {
    settled(settled: Settled): void {
      const { email, what, decision } = settled;
      const at = now();
      const { lane } = email.facts;
      const waitMs = waitBefore(email, what, at);
      const fields = fieldsOf(settled, at, waitMs);
      if ('detail' in what) log.warn(fields, 'attempt');
      else log.info(fields, isAttempt(what) ? 'attempt' : 'change');
      const entered = statesEntered(email.state, decision.state);
      for (const status of entered) meters.entered(lane, status);
      countAttempt(meters, what);
      if (waitMs !== null) meters.queueWait(lane, waitMs);
      if (entered.includes('sent')) meters.acceptToSent(lane, at - email.state.since);
    },

    /** A fault has a line of its attempt as well, which says why. */
    fetched({ email, host, outcome }: FetchReported): void {
      const { id, lane } = email.facts;
      log.info({ email_id: id, lane, host, outcome }, 'file');
      meters.fetched(lane, outcome);
    },

    /** A campaign started, or was canceled before it started: from now on its recipients are settled. */
    campaign({ campaignId, status, recipients }: CampaignReported): void {
      log.info({ campaign_id: campaignId, status, recipients }, 'campaign');
      meters.entered('bulk', 'queued', recipients);
    },

    slice({ take, settled, isHeldUp, waitsFor, ms }: SliceReported): void {
      const waits = waitsFor.size === 0 ? undefined : [...waitsFor].toSorted().join();
      const statuses = settled.map(({ decision }) => statusOf(decision.state));
      const counts = Object.fromEntries(
        [...Map.groupBy(statuses, (status) => status)].map(([s, all]) => [s, all.length]),
      );
      log.info(
        {
          campaign_id: take.campaignId,
          slice: take.slice,
          ...counts,
          held_up: isHeldUp || undefined,
          waits_for: waits,
          ms,
        },
        'slice',
      );
      for (const { email, what, decision } of settled) {
        for (const status of statesEntered(email.state, decision.state)) meters.entered('bulk', status);
        countAttempt(meters, what);
      }
    },

    forgotten(forgotten: { contents: number; records: number } | { campaigns: number }): void {
      log.info(forgotten, 'retention');
    },
  };
}

function countAttempt(meters: Pick<Meters, 'attempt'>, what: SettledOutcome | Change): void {
  const outcome = attemptOutcomeOf(what);
  const transport = transportAsked(what);
  if (outcome !== null && transport !== null) meters.attempt(transport, outcome, traceOf(what));
}

function fieldsOf({ email, what, decision }: Settled, at: number, waitMs: number | null) {
  const { id, lane, createdAt } = email.facts;
  const trace = traceOf(what);
  return {
    email_id: id,
    lane,
    outcome: what.kind,
    transport: transportAsked(what) ?? undefined,
    host: trace?.host,
    tls: trace?.tls,
    ms: trace?.ms,
    wait_ms: waitMs ?? undefined,
    detail: detailOf(what),
    recipients: decision.state.recipients.map(({ address, status, smtp }) => ({
      to: maskAddress(address),
      status,
      code: smtp?.code,
    })),
    age_ms: at - createdAt,
    again_at: isoOrNull(decision.again),
  };
}

/** Why it went so, without what may be secret; undefined when there is nothing to say. */
function detailOf(what: SettledOutcome | Change): string | undefined {
  const detail = what.kind === 'expired' ? what.why : 'detail' in what ? what.detail : null;
  return detail == null ? undefined : maskAddresses('loggable' in what ? what.loggable : detail);
}

function traceOf(what: SettledOutcome | Change): AttemptTrace | undefined {
  return 'trace' in what ? what.trace : undefined;
}

function isAttempt({ kind }: SettledOutcome | Change): boolean {
  return !['canceled', 'rescheduled', 'retried', 'unsubscribed'].includes(kind);
}
