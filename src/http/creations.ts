/** POSTs that create something under an id and a secret of ours: once for each Idempotency-Key. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { IdPrefix } from '../domain/id.ts';
import type { Creation, Creations } from '../store/creations.ts';
import { idempotencyHeader, keyReused, readClaim } from './email-access.ts';

export type CreationDeps<Prefix extends IdPrefix> = {
  creations: Pick<Creations, 'begin' | 'end'>;
  newId(prefix: Prefix): string;
  /** Bytes nobody can guess. */
  entropy(bytes: number): Uint8Array;
  now(): number;
};

export const creationHeaders = z.looseObject({ 'idempotency-key': idempotencyHeader });

const secretBytes = 32;

/** What is made: its id, when, and 32 bytes for its secret. */
export type Made = Pick<Creation, 'id' | 'createdAt' | 'secret'>;

/**
 * Has `store` store what is made, unless that was done before; a repeat is marked as one.
 * @param given what the key stands for
 */
export async function createOnce<Prefix extends IdPrefix>(
  deps: CreationDeps<Prefix>,
  prefix: Prefix,
  request: FastifyRequest,
  reply: FastifyReply,
  store: (made: Made) => Promise<void>,
  given: unknown = request.body,
): Promise<Made> {
  const route = `POST ${request.routeOptions.url}`;
  const claim = readClaim(request.headers['idempotency-key'], request.apiKey.id, route, given);
  const fresh = { id: deps.newId(prefix), now: deps.now() };
  if (claim === null) {
    const made = { id: fresh.id, createdAt: fresh.now, secret: deps.entropy(secretBytes) };
    await store(made);
    return made;
  }
  const creation = await deps.creations.begin(claim, fresh);
  if (creation === null) throw keyReused();
  if (!creation.isDone) {
    await store(creation);
    await deps.creations.end(claim, creation);
  }
  if (creation.isRepeat) reply.header('idempotent-replayed', 'true');
  return creation;
}
