/** Reports: one function for each unit of work, each writing one wide line. */
import { maskAddress, maskAddresses } from '../domain/address.ts';
import type { Decision } from '../domain/decide.ts';
import type { StoredEmail } from '../domain/email.ts';
import type { Answer, Change, SettledOutcome } from '../domain/outcome.ts';
import type { RedisStanding } from '../domain/redis-standing.ts';
import type { PostResult } from '../domain/webhook.ts';
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

    posted(posted: { webhookId: string; eventId: string; attempt: number; result: PostResult; answer: Answer }): void {
      const { webhookId, eventId, attempt, result, answer } = posted;
      const again = 'again' in answer ? answer.again : null;
      log.info({ webhook_id: webhookId, event_id: eventId, attempt, ...result, again_at: isoOrNull(again) }, 'webhook');
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
  return kind !== 'canceled' && kind !== 'rescheduled' && kind !== 'retried';
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
