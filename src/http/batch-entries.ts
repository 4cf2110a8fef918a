/** The entries of a batch: its emails as they are read, each with the claim of its own key. Other work gets turns meanwhile. */
import type { z } from 'zod';
import type { ApiKey } from '../domain/api-key.ts';
import { type Batch, type BatchItem, type BatchSchemas, readBatch } from '../domain/batch.ts';
import type { AskedEmail } from '../domain/email-request.ts';
import type { IdempotencyClaim, Known } from '../domain/idempotency.ts';
import { type Lane, usualLane } from '../domain/lane.ts';
import { faultsOf, wording } from './faults.ts';
import { claimOf } from './idempotency.ts';
import { ProblemError } from './problems.ts';

/** One email of the batch: its place in the request, what stands there, and the claim of its own key. */
export type Entry = { readonly index: number; readonly item: BatchItem; readonly claim: IdempotencyClaim | null };

type Deps = {
  readonly schemas: BatchSchemas;
  /** Waits until it is the turn of work that keeps the event loop busy. */
  yieldTurn(): Promise<void>;
};

type Terms = { readonly apiKey: ApiKey; readonly known: Known; readonly maxIssues: number };

/**
 * To read 1,000 messages may take a second, and so may their hashes: 256 KB of variables are hashed for each.
 * @param maxIssues with more, the whole batch is refused
 * @returns also the bytes of the emails with their base written out
 * @throws ProblemError when the batch is refused as a whole
 */
export async function readEntries(
  { schemas, yieldTurn }: Deps,
  body: z.output<BatchSchemas['body']>,
  { apiKey, known, maxIssues }: Terms,
): Promise<{ entries: readonly Entry[]; bytes: number }> {
  const batch = await readInTurns(readBatch(body, schemas, { wording, maxIssues }), yieldTurn);
  if ('issues' in batch) throw ProblemError.of('validation_error', faultsOf(batch.issues));
  const entries: Entry[] = [];
  for (const [index, item] of batch.items.entries()) {
    await yieldTurn();
    entries.push({ index, item, claim: claimIn(item, apiKey, known) });
  }
  return { entries, bytes: batch.bytes };
}

async function readInTurns(reading: Generator<undefined, Batch>, yieldTurn: Deps['yieldTurn']): Promise<Batch> {
  for (;;) {
    await yieldTurn();
    const step = reading.next();
    if (step.done) return step.value;
  }
}

function claimIn({ idempotencyKey, given }: BatchItem, { id }: ApiKey, known: Known): IdempotencyClaim | null {
  return idempotencyKey === null
    ? null
    : claimOf(idempotencyKey, { keyId: id, route: 'POST /emails', body: given, known });
}

/** Null for one that is not valid. */
export function askedIn({ item: { result } }: Entry): AskedEmail | null {
  return 'issues' in result ? null : result.request;
}

export function lanesOf(entries: readonly Entry[]): Lane[] {
  return entries.flatMap((entry) => {
    const asked = askedIn(entry);
    return asked === null ? [] : (asked.lane ?? usualLane);
  });
}
