/** /v1/api-keys: who may call, and what they may do. */
import { z } from 'zod';
import {
  type ApiKey,
  apiKeyChanges,
  apiKeyRequest,
  hashToken,
  makeApiKey,
  makeToken,
  refusalsOf,
  withinLimits,
} from '../domain/api-key.ts';
import { idForm } from '../domain/id.ts';
import type { ApiKeys, StoredApiKey } from '../store/api-keys.ts';
import {
  apiKeyExample,
  apiKeyPage,
  apiKeyView,
  createdApiKey,
  renamedApiKey,
  revokedApiKey,
  viewOf,
} from './api-key-view.ts';
import { type CreationDeps, createOnce, creationHeaders } from './creations.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { pageQueryOf } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';

type Deps = CreationDeps<'ak'> & { apiKeys: Pick<ApiKeys, 'add' | 'get' | 'page' | 'rename' | 'revoke'> };

const params = z.object({
  id: z.string().meta({ description: 'The id of the key, `ak_…`.', examples: [apiKeyExample.id] }),
});
const missing = {
  404: notFoundExamples(`There is no API key ${apiKeyExample.id}`, `/v1/api-keys/${apiKeyExample.id}`),
};
const listQuery = pageQueryOf(idForm('ak'), 'an API key').safeExtend({
  made_by: z
    .string()
    .regex(idForm('ak'), 'is not the id of an API key')
    .optional()
    .meta({ description: 'Only keys that this key created.', examples: [apiKeyExample.id] }),
});
const config = { scope: 'manage' } as const;
const tags = ['api-keys'];

export function apiKeyRoutes(deps: Deps): Routes {
  return (app) => {
    addCreation(app, deps);
    addList(app, deps);
    addReading(app, deps);
    addRenaming(app, deps);
    addRevocation(app, deps);
  };
}

function addCreation(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/api-keys',
    config,
    schema: {
      operationId: 'createApiKey',
      summary: 'Create an API key',
      description: [
        'Store the token: it is not shown again, and only its hash is stored.',
        'A key cannot create one that may do more than itself; the 403 names everything that is too much. Requests of a key also count against the `rate` of the key that created it.',
      ].join('\n\n'),
      tags,
      headers: creationHeaders,
      body: apiKeyRequest,
      response: { 201: createdApiKey, ...problemAnswers(400, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { body, apiKey } = request;
      const keyOf = (id: string, now: number) => makeApiKey(body, { id, now, maker: apiKey });
      const excesses = refusalsOf(apiKey, keyOf('', 0));
      if (excesses.length > 0) throw tooMuch(excesses);
      const { id, createdAt, secret } = await createOnce(deps, 'ak', { request, reply }, (made) =>
        deps.apiKeys.add(keyOf(made.id, made.createdAt), hashToken(makeToken(made.secret)), made.mark),
      );
      const view = viewOf({ ...keyOf(id, createdAt), lastUsedAt: null });
      return reply.status(201).send({ ...view, token: makeToken(secret) });
    },
  });
}

function addList(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/api-keys',
    config,
    schema: {
      operationId: 'listApiKeys',
      summary: 'List API keys',
      description: 'Newest first, without their tokens. A key sees the keys that may do no more than itself.',
      tags,
      querystring: listQuery,
      response: { 200: apiKeyPage, ...problemAnswers(422) },
    },
    handler: async (request) => {
      const { made_by: madeBy, ...wanted } = request.query;
      const { page, hasMore } = await deps.apiKeys.page(
        wanted,
        (key) => withinLimits(request.apiKey, key) && (madeBy === undefined || key.madeBy === madeBy),
      );
      return { object: 'list' as const, has_more: hasMore, data: page.map(viewOf) };
    },
  });
}

function addReading(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/api-keys/:id',
    config,
    schema: {
      operationId: 'getApiKey',
      summary: 'Get an API key',
      description: 'The rights of the key and when it was last used. The token is not shown.',
      tags,
      params,
      response: { 200: apiKeyView, ...problemAnswers(400, 404) },
      'x-examples': missing,
    },
    handler: async (request) => viewOf(await find(deps.apiKeys, request.apiKey, request.params.id)),
  });
}

function addRenaming(app: App, deps: Deps): void {
  app.route({
    method: 'PATCH',
    url: '/api-keys/:id',
    config,
    schema: {
      operationId: 'renameApiKey',
      summary: 'Rename an API key',
      description: 'Only the name can be changed. To change the rights, create another key and revoke this one.',
      tags,
      params,
      body: apiKeyChanges,
      response: { 200: renamedApiKey, ...problemAnswers(400, 404, 413, 415, 422) },
      'x-examples': missing,
    },
    handler: async (request) => {
      const { id } = await find(deps.apiKeys, request.apiKey, request.params.id);
      if (!(await deps.apiKeys.rename(id, request.body.name))) throw notFound(id);
      return { object: 'api_key' as const, id };
    },
  });
}

function addRevocation(app: App, deps: Deps): void {
  app.route({
    method: 'DELETE',
    url: '/api-keys/:id',
    config,
    schema: {
      operationId: 'deleteApiKey',
      summary: 'Revoke an API key',
      description:
        'Requests that begin after this answer are refused, and event streams end. An upload under way stores no more than the batch in hand, 1,000 records at most. A key may revoke itself. The keys it created stay valid: `GET /v1/api-keys?made_by=` finds them.',
      tags,
      params,
      response: { 200: revokedApiKey, ...problemAnswers(400, 404, 413, 415) },
      'x-examples': missing,
    },
    handler: async (request) => {
      const { id } = await find(deps.apiKeys, request.apiKey, request.params.id);
      if (!(await deps.apiKeys.revoke(id))) throw notFound(id);
      return { object: 'api_key' as const, id, deleted: true as const };
    },
  });
}

/**
 * For a caller, keys with more rights than its own do not exist.
 * @throws ProblemError 404
 */
async function find(apiKeys: Pick<ApiKeys, 'get'>, caller: ApiKey, id: string): Promise<StoredApiKey> {
  const key = await apiKeys.get(id);
  if (key === null || !withinLimits(caller, key)) throw notFound(id);
  return key;
}

function notFound(id: string): ProblemError {
  return new ProblemError('not_found', `There is no API key ${id}`);
}

function tooMuch(excesses: ReturnType<typeof refusalsOf>): ProblemError {
  const named = excesses.map(({ pointer, message }) => `${pointer}: ${message}`).join('; ');
  return new ProblemError('restricted_api_key', `A key cannot create one that may do more than itself: ${named}`, {
    faults: excesses,
  });
}
