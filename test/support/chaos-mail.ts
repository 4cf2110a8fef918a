/** The mail of a chaos run, as its seed has it: one and several recipients, both lanes, now and later, posted one by one and in batches. */
import type { Chance } from './chance.ts';

export type Request = {
  readonly path: '/v1/emails' | '/v1/emails/batch';
  readonly body: unknown;
  /** Its Idempotency-Key. */
  readonly key: string;
  /** The emails it holds, in order. */
  readonly mails: readonly Mail[];
};

export type Mail = {
  readonly n: number;
  readonly isScheduled: boolean;
  readonly body: object;
};

/** Scheduled mail is due so long after the plan was made, milliseconds. */
const scheduleMs = [2_000, 20_000] as const;
/** Three quarters of the mail come in batches of this many. */
const perBatch = 50;
const batchShare = 3 / (3 + perBatch);

export function planOf(chance: Chance, count: number, now: number): Request[] {
  const mails = Array.from({ length: count }, (_, n) => mailOf(chance, n, now));
  const requests: Request[] = [];
  while (mails.length > 0) {
    const isBatch = mails.length >= perBatch && chance.of('batch', requests.length) < batchShare;
    const some = mails.splice(0, isBatch ? perBatch : 1);
    const bodies = some.map(({ body }) => body);
    const key = `chaos-${some[0]?.n}`;
    requests.push(
      isBatch
        ? { path: '/v1/emails/batch', body: bodies, key, mails: some }
        : { path: '/v1/emails', body: bodies[0], key, mails: some },
    );
  }
  return requests;
}

function mailOf(chance: Chance, n: number, now: number): Mail {
  const count = chance.of('several', n) < 0.3 ? chance.between(2, 5, 'recipients', n) : 1;
  const [first, ...others] = Array.from({ length: count }, (_, r) => `r${r}.${n}@example.org`);
  const isScheduled = chance.of('scheduled', n) < 0.06;
  const at = new Date(now + chance.between(...scheduleMs, 'at', n)).toISOString();
  return {
    n,
    isScheduled,
    body: {
      from: 'a@example.com',
      to: first,
      ...(others.length > 0 ? { cc: others } : {}),
      subject: `Chaos ${n}`,
      text: 'Hello',
      ...(chance.of('lane', n) < 0.5 ? { lane: 'bulk' } : {}),
      ...(isScheduled ? { scheduled_at: at } : {}),
      ...(chance.of('hold', n) < 0.2 ? { on_unknown: 'hold' } : {}),
    },
  };
}
