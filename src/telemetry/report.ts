/** Reports: one function for each unit of work, each writing one wide line. */
import { maskAddress, maskAddresses } from '../domain/address.ts';
import type { Decision } from '../domain/decide.ts';
import { placesIn } from '../domain/delivery.ts';
import type { StoredEmail } from '../domain/email.ts';
import type { Change, SettledOutcome } from '../domain/outcome.ts';
import type { PostReport } from '../domain/post.ts';
import type { RedisStanding } from '../domain/redis-standing.ts';
import type { Suppression } from '../domain/suppression.ts';
import type { Log } from './log.ts';

export type Reports = ReturnType<typeof openReports>;

export function openReports(log: Log) {
  return {
    request(request: {
      id: string;
      method: string;
      route: string;
      status: number;
      ms: number;
      keyId: string | null;
    }): void {
      log.info(request, 'request');
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
      const fields = {
        email_id: email.facts.id,
        outcome: what.kind,
        transport: 'transport' in what ? what.transport : undefined,
        detail: 'detail' in what ? maskAddresses(what.detail) : undefined,
        recipients: decision.state.recipients.map(({ address, status, smtp }) => ({
          to: maskAddress(address),
          status,
          code: smtp?.code,
        })),
        age_ms: Date.now() - email.facts.createdAt,
        again_at: isoOrNull(decision.again),
      };
      if ('detail' in what) log.warn(fields, 'attempt');
      else log.info(fields, isAttempt(what) ? 'attempt' : 'change');
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
    },

    unsuppressed({ suppression, keyId }: { suppression: Suppression; keyId: string }): void {
      const { id, address, scope, reason } = suppression;
      log.info({ suppression_id: id, to: maskAddress(address), scope, reason, key_id: keyId }, 'unsuppressed');
    },

    forgotten(forgotten: { contents: number; records: number }): void {
      log.info(forgotten, 'retention');
    },

    plan(faults: readonly string[]): void {
      if (faults.length === 0) log.info({}, 'TRANSPORTS_FILE was read again');
      else log.error({ faults }, 'TRANSPORTS_FILE is wrong, and what stood in it before still holds');
    },

    redis({ server, guarantee, words, isSound, unfit }: RedisStanding): void {
      const fields = { server, guarantee, words };
      if (unfit !== null) log.error(fields, 'Redis will not do');
      else if (isSound) log.info(fields, 'Redis');
      else log.warn(fields, 'Redis is not set up as it should be');
    },

    backPressure(reason: string | null): void {
      if (reason === null) log.info({}, 'new mail is taken again');
      else log.warn({ reason }, 'new mail is refused');
    },

    trouble(part: string, error: unknown, fields: Readonly<Record<string, unknown>> = {}): void {
      log.error(
        { part, ...fields, error: maskAddresses(error instanceof Error ? error.message : String(error)) },
        'trouble',
      );
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
