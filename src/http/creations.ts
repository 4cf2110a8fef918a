/** POSTs that create something with an id and a secret of ours: once for each Idempotency-Key. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { IdPrefix } from '../domain/id.ts';
import type { IdempotencyClaim } from '../domain/idempotency.ts';
import type { Creation, Creations } from '../store/creations.ts';
import { idempotencyHeader, keyReused, readClaim } from './idempotency.ts';
import { ProblemError } from './problems.ts';

export type CreationDeps<Prefix extends IdPrefix> = {
  creations: Pick<Creations, 'begin' | 'end' | 'giveUp'>;
  newId(prefix: Prefix): string;
  /** Bytes from a secure random source. */
  entropy(bytes: number): Uint8Array;
  now(): number;
};

export const creationHeaders = z.looseObject({ 'idempotency-key': idempotencyHeader });

const secretBytes = 32;

/**
 * What the new thing gets: its id, its time, 32 bytes for its secret, and the mark by which it is stored only once; null without an
 * Idempotency-Key.
 */
export type Made = Pick<Creation, 'id' | 'createdAt' | 'secret'> & { readonly mark: Creation['mark'] | null };

/**
 * Stores the new thing. When it throws a problem, the request is refused and claims no key. It may return a string that repeats need for their
 * answer.
 */
type Store = (made: Made) => Promise<unknown>;

/** The request that is to create something, and its reply. */
export type CreationRequest = {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** What the key belongs to, when that is not the body alone. */
  readonly given?: unknown;
};

/**
 * Calls `store` unless an earlier request with this key did it; a repeat is marked with a header. All checks that may refuse the request belong
 * into `store`, so that a repeat gets its answer although it would be refused now.
 */
export async function createOnce<Prefix extends IdPrefix>(
  deps: CreationDeps<Prefix>,
  prefix: Prefix,
  { request, reply, given = request.body }: CreationRequest,
  store: Store,
): Promise<Made & Pick<Creation, 'note'>> {
  const route = `POST ${request.routeOptions.url}`;
  const claim = readClaim(request.headers['idempotency-key'], { keyId: request.apiKey.id, route, body: given });
  const fresh = { id: deps.newId(prefix), now: deps.now() };
  if (claim === null) {
    const made = { id: fresh.id, createdAt: fresh.now, secret: deps.entropy(secretBytes), mark: null };
    return { ...made, note: noteIn(await store(made)) };
  }
  const creation = await beginOnce(deps.creations, claim, fresh, reply);
  if (creation.isDone) return creation;
  const { note } = await finish(deps.creations, claim, creation, () => store(creation));
  return { ...creation, note };
}

/**
 * Begins the creation of this claim, or finds how far an earlier request with it came. A header marks the answer to a repeat.
 * @throws ProblemError 422 when the key belongs to another body
 */
export async function beginOnce(
  creations: Pick<Creations, 'begin'>,
  claim: IdempotencyClaim,
  fresh: { readonly id: string; readonly now: number },
  reply: FastifyReply,
): Promise<Creation> {
  const creation = await creations.begin(claim, fresh);
  if (creation === null) throw keyReused();
  if (creation.isRepeat) reply.header('idempotent-replayed', 'true');
  return creation;
}

/**
 * Does the work of a creation that was begun, and notes that it is done. If the work throws a problem, the key is free again, unless a repeat has
 * come: that one may be refused because the first request did its work.
 * @param work may return a string that repeats need for their answer
 */
export async function finish<T>(
  creations: Pick<Creations, 'end' | 'giveUp'>,
  claim: IdempotencyClaim,
  creation: Creation,
  work: () => Promise<T>,
): Promise<{ readonly answer: T; readonly note: string }> {
  try {
    const answer = await work();
    return { answer, note: await creations.end(claim, creation, noteIn(answer)) };
  } catch (error) {
    if (error instanceof ProblemError) await creations.giveUp(claim, creation);
    throw error;
  }
}

function noteIn(answer: unknown): string {
  return typeof answer === 'string' ? answer : '';
}
