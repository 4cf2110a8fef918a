/** Reports: one function for each unit of work, which writes one wide line and counts the same, so that log and metrics cannot differ. */

import { maskAddress, maskAddresses } from '../domain/address.ts';
import type { LimitPassed } from '../domain/back-pressure.ts';
import type { CampaignStatus } from '../domain/campaign.ts';
import { worthTellingMs } from '../domain/clock.ts';
import type { Decision } from '../domain/decide.ts';
import { placesIn } from '../domain/delivery.ts';
import { type NewEmail, type StoredEmail, statusOf } from '../domain/email.ts';
import { attemptOutcomeOf, statesEntered, waitBefore } from '../domain/ledger.ts';
import type { Change, SettledOutcome } from '../domain/outcome.ts';
import type { PostReport } from '../domain/post.ts';
import type { RefusalReason } from '../domain/problem.ts';
import type { RedisStanding } from '../domain/redis-standing.ts';
import type { Suppression } from '../domain/suppression.ts';
import type { PlanReading } from '../domain/transport-plan.ts';
import type { Log } from './log.ts';
import type { Meters } from './meters.ts';
import { makeTroubles } from './troubles.ts';

export type Reports = ReturnType<typeof openReports>;

/** One slice of a campaign, and what became of its recipients. */
type SliceReported = {
  readonly take: { readonly campaignId: string; readonly slice: number };
  readonly settled: readonly {
    readonly email: StoredEmail;
    readonly what: SettledOutcome | Change;
    readonly decision: Decision;
  }[];
  readonly isHeldUp: boolean;
  readonly ms: number;
};

/** Ids in one line: a batch has up to a thousand, and log collectors cut long lines. */
const maxIds = 100;

const planWords = {
  changed: 'TRANSPORTS_FILE was read again',
  mended: 'TRANSPORTS_FILE was read again, and is right: what stood in it before it was wrong holds on',
  same: 'TRANSPORTS_FILE is the same as before',
  none: 'there is no TRANSPORTS_FILE, and nothing else is read again',
} as const satisfies Record<Extract<PlanReading, string>, string>;

type Clocks = {
  /** The clock that emails have their times from. */
  now(): number;
  /** Milliseconds of a clock that never goes back. */
  monotonicNow(): number;
};

/**
 * @param commonTrouble of which kind a trouble is that everything in hand meets at once, as when Redis is full; null for any other
 */
export function openReports(
  log: Log,
  meters: Meters,
  { now, monotonicNow }: Clocks,
  commonTrouble: (error: unknown) => string | null,
) {
  const troubles = makeTroubles(monotonicNow);
  return {
    request(request: {
      id: string;
      method: string;
      route: string;
      status: number;
      ms: number;
      keyId: string | null;
      refusal: RefusalReason | null;
      takesMail: boolean;
    }): void {
      const { id, method, route, status, ms, keyId, refusal, takesMail } = request;
      const problem = refusal === null ? {} : { problem: refusal };
      log.info({ id, method, route, status, ms: Math.round(ms), key_id: keyId, ...problem }, 'request');
      meters.request(route, method, status, ms);
      if (refusal !== null) meters.refused(refusal, takesMail);
    },

    accepted({ requestId, keyId, emails }: { requestId: string; keyId: string; emails: readonly NewEmail[] }): void {
      const ids = emails.slice(0, maxIds).map(({ facts }) => facts.id);
      log.info({ request_id: requestId, key_id: keyId, emails: emails.length, email_ids: ids }, 'accept');
      for (const { facts, state } of emails) {
        meters.accepted(facts.lane);
        for (const { status } of state.recipients) meters.entered(facts.lane, status);
      }
    },

    settled({
      email,
      what,
      decision,
    }: {
      email: StoredEmail;
      what: SettledOutcome | Change;
      decision: Decision;
    }): void {
      const at = now();
      const { id, lane, createdAt } = email.facts;
      const waitMs = waitBefore(email, what, at);
      const trace = 'trace' in what ? what.trace : undefined;
      const fields = {
        email_id: id,
        lane,
        outcome: what.kind,
        transport: 'transport' in what ? what.transport : undefined,
        host: trace?.host,
        tls: trace?.tls,
        ms: trace?.ms,
        wait_ms: waitMs ?? undefined,
        detail: 'detail' in what ? maskAddresses('loggable' in what ? what.loggable : what.detail) : undefined,
        recipients: decision.state.recipients.map(({ address, status, smtp }) => ({
          to: maskAddress(address),
          status,
          code: smtp?.code,
        })),
        age_ms: at - createdAt,
        again_at: isoOrNull(decision.again),
      };
      if ('detail' in what) log.warn(fields, 'attempt');
      else log.info(fields, isAttempt(what) ? 'attempt' : 'change');
      const entered = statesEntered(email.state, decision.state);
      for (const status of entered) meters.entered(lane, status);
      const outcome = attemptOutcomeOf(what);
      if (outcome !== null && 'transport' in what) meters.attempt(what.transport, outcome, trace);
      if (waitMs !== null) meters.queueWait(lane, waitMs);
      if (entered.includes('sent')) meters.acceptToSent(lane, at - email.state.since);
    },

    /** A campaign started, or was canceled before it started: from now on its recipients are settled. */
    campaign({
      campaignId,
      status,
      recipients,
    }: {
      campaignId: string;
      status: CampaignStatus;
      recipients: number;
    }): void {
      log.info({ campaign_id: campaignId, status, recipients }, 'campaign');
      meters.entered('bulk', 'queued', recipients);
    },

    slice({ take, settled, isHeldUp, ms }: SliceReported): void {
      const statuses = settled.map(({ decision }) => statusOf(decision.state));
      const counts = Object.fromEntries(
        [...Map.groupBy(statuses, (status) => status)].map(([s, all]) => [s, all.length]),
      );
      log.info(
        { campaign_id: take.campaignId, slice: take.slice, ...counts, held_up: isHeldUp || undefined, ms },
        'slice',
      );
      for (const { email, what, decision } of settled) {
        for (const status of statesEntered(email.state, decision.state)) meters.entered('bulk', status);
        const outcome = attemptOutcomeOf(what);
        const trace = 'trace' in what ? what.trace : undefined;
        // For an attempt that a dead worker left behind the transport is unknown.
        const transport = 'transport' in what ? what.transport : '';
        if (outcome !== null && transport !== '') meters.attempt(transport, outcome, trace);
      }
    },

    posted({ webhook, delivery, result, decision }: PostReport): void {
      const { id, webhookId, attempts, nextAt, reason } = delivery;
      const fields = {
        webhook_id: webhook.id,
        delivery_id: id,
        id: webhookId,
        events: placesIn(delivery.parcel).length,
        attempt: attempts,
        status: result?.status,
        detail: result?.detail ?? reason,
        ms: result?.ms,
        again_at: isoOrNull(nextAt),
      };
      if (decision === 'disable') log.warn(fields, 'webhook disabled');
      else log.info(fields, 'webhook');
      if (result !== null) meters.posted(result.status, result.ms);
    },

    probed({ transport, ms, fault }: { transport: string; ms: number; fault: { detail: string } | null }): void {
      if (fault === null) log.info({ transport, ms }, 'probe');
      else log.warn({ transport, ms, detail: maskAddresses(fault.detail) }, 'probe');
    },

    unsuppressed({ suppression, keyId }: { suppression: Suppression; keyId: string }): void {
      const { id, address, scope, reason } = suppression;
      log.info({ suppression_id: id, to: maskAddress(address), scope, reason, key_id: keyId }, 'unsuppressed');
    },

    forgotten(forgotten: { contents: number; records: number } | { campaigns: number }): void {
      log.info(forgotten, 'retention');
    },

    lost({ webhookId, parcels }: { webhookId: string; parcels: number }): void {
      log.warn({ webhook_id: webhookId, parcels }, 'what waited for a webhook is no longer stored');
    },

    unreadable(places: readonly string[]): void {
      const fields = { events: places.length, cursors: places.slice(0, maxIds) };
      log.error(fields, 'events that cannot be read: no webhook is told of them');
    },

    plan(reading: PlanReading): void {
      if (typeof reading === 'string') log.info({}, planWords[reading]);
      else
        log.error({ faults: reading.faults }, 'TRANSPORTS_FILE is wrong, and its last valid content is still in use');
      meters.transportsFile(typeof reading !== 'string');
    },

    /** @param places emails of one lane that a worker processes at a time */
    crowding(transports: readonly string[], places: number): void {
      const words =
        'a server that hangs could hold up mail for all others: give fewer connections or more WORKER_CONCURRENCY';
      if (transports.length > 0) log.warn({ transports, worker_concurrency: places }, words);
    },

    redis({ server, guarantee, words, isSound, unfit }: RedisStanding): void {
      const fields = { server, guarantee, words };
      if (unfit !== null) log.error(fields, 'Redis does not meet the requirements');
      else if (isSound) log.info(fields, 'Redis');
      else log.warn(fields, 'Redis is not set up as it should be');
    },

    /** @param differenceMs how far the clock of this machine is ahead of Redis' clock */
    clock(differenceMs: number, isNews: boolean): void {
      meters.clockDifference(differenceMs);
      if (!isNews) return;
      const fields = { difference_ms: Math.round(differenceMs) };
      if (Math.abs(differenceMs) <= worthTellingMs)
        log.info(fields, 'the clock of this machine agrees with that of Redis again');
      else
        log.warn(
          fields,
          'the clock of this machine is another than that of Redis, by which all goes: set right the one that is wrong',
        );
    },

    /** The start waits for Redis. @param why Redis cannot be reached; null while it is only loading its data */
    awaited(why: string | null, url: string | undefined): void {
      const fields = { error: why === null ? undefined : maskAddresses(why), answers_at: url };
      if (why === null) log.warn(fields, 'Redis loads its data, or does not answer yet: the start waits for it');
      else log.warn(fields, 'Redis cannot be reached: the start waits for it');
    },

    /** @param over which lanes take no new mail, and why; null when all of them do again */
    backPressure(over: LimitPassed | null): void {
      if (over === null) log.info({}, 'new mail is taken again');
      else log.warn({ ...over }, 'new mail is refused');
    },

    /** @param emails whose answer was not stored; `posts` is the number of such webhook posts */
    stopped({ emails, posts, isRedisAway }: { emails: readonly string[]; posts: number; isRedisAway: boolean }): void {
      const fields = { emails: emails.length, email_ids: emails.slice(0, maxIds), posts, redis_away: isRedisAway };
      if (emails.length + posts === 0) log.info(fields, 'stopped');
      else log.warn(fields, 'stopped');
    },

    /** @param fields of what met it, left out of a common trouble: that, and what has none, is not said over and over */
    trouble(part: string, error: unknown, fields: Readonly<Record<string, unknown>> = {}): void {
      const message = maskAddresses(error instanceof Error ? error.message : String(error));
      const common = commonTrouble(error);
      const own = common === null ? fields : {};
      const held = Object.keys(own).length > 0 ? 0 : troubles.weigh(part, common ?? message);
      if (held === null) return;
      log.error({ part, ...own, error: message, ...(held === 0 ? {} : { times: held + 1 }) }, 'trouble');
    },

    /** @param why Redis cannot be reached; null when it can be again */
    reach(why: string | null): void {
      if (why === null) log.info({}, 'Redis is back');
      else log.error({ error: maskAddresses(why) }, 'Redis is away');
    },

    /** Follows a `trouble` that the token could not be stored. @param host the server that issued it */
    tokenStored(host: string): void {
      log.info({ host }, 'the refresh token is stored');
    },

    bug(error: Error, fields: Readonly<Record<string, unknown>>): void {
      log.error({ ...fields, error: maskAddresses(error.stack ?? error.message) }, 'bug');
    },
  };
}

function isAttempt({ kind }: SettledOutcome | Change): boolean {
  return !['canceled', 'rescheduled', 'retried', 'unsubscribed'].includes(kind);
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
