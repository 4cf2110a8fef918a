/** /v1/suppressions: addresses that get no more mail. */
import { z } from 'zod';
import { suppressionIdForm } from '../domain/id.ts';
import { makeSuppression, type Suppression, suppressionRequest } from '../domain/suppression.ts';
import type { Suppressions } from '../store/suppressions.ts';
import { objectField } from './answer-fields.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { pageFieldsOf, refuseBothEnds } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { type RemovalDeps, seekSuppressions, unsuppress } from './suppression-access.ts';
import { addExport, addImport, suppressionConfig as config, type TransferDeps, tags } from './suppression-transfer.ts';
import {
  reasonsFor,
  suppressionExample,
  suppressionOrigins,
  suppressionPage,
  suppressionReason,
  suppressionScope,
  suppressionsOfAddress,
  suppressionView,
  viewOf,
  viewOfAll,
} from './suppression-view.ts';

type Deps = RemovalDeps & TransferDeps & { suppressions: Pick<Suppressions, 'get' | 'byId' | 'page'> };

const params = z.object({
  email: z.string().meta({
    description: 'The address, in upper or lower case, or the id of one of its suppressions.',
    examples: [suppressionExample.email],
  }),
});

const scopeQuery = z.strictObject({
  scope: suppressionScope.optional().meta({ description: 'Only the suppression for this scope.' }),
});

const listQuery = refuseBothEnds(
  z.strictObject({
    ...pageFieldsOf(suppressionIdForm, 'a suppression'),
    reason: suppressionReason.optional().meta({ description: 'Only suppressions with this reason.' }),
    origin: z.enum(suppressionOrigins).optional().meta({
      description: 'Only suppressions with this `origin`; for the Resend SDKs.',
    }),
    scope: suppressionScope.optional().meta({ description: 'Only suppressions for this scope.' }),
  }),
);

const removed = z
  .object({
    object: objectField('suppression'),
    id: z.string().meta({ description: 'The id of the removed suppression; the first if there were several.' }),
    email: z.string().meta({ description: 'The address.' }),
    deleted: z.literal(true).meta({ description: 'The address gets mail again.' }),
  })
  .meta({
    description: 'The suppressions of the address were removed.',
    examples: [{ object: 'suppression', id: suppressionExample.id, email: suppressionExample.email, deleted: true }],
  });

const missing = {
  404: notFoundExamples(
    `${suppressionExample.email} is not suppressed`,
    `/v1/suppressions/${encodeURIComponent(suppressionExample.email)}`,
  ),
};

export function suppressionRoutes(deps: Deps): Routes {
  return (app) => {
    addOne(app, deps);
    addImport(app, deps);
    addList(app, deps);
    addExport(app, deps);
    addReading(app, deps);
    addRemoval(app, deps);
  };
}

function addOne(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/suppressions',
    config,
    schema: {
      operationId: 'addSuppression',
      summary: 'Suppress an address',
      description:
        'Nothing is sent to the address from now on, not even mail that was accepted before. If the address has an entry for the scope already, that entry is kept and returned.',
      tags,
      body: suppressionRequest,
      response: { 201: suppressionView, ...problemAnswers(400, 413, 415, 422) },
    },
    handler: async ({ body }, reply) => {
      await deps.suppressions.add([makeSuppression(body, deps.newId('sp'))]);
      const [suppression] = await find(deps.suppressions, body.email, body.scope);
      return reply.status(201).send(viewOf(suppression));
    },
  });
}

function addList(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/suppressions',
    config,
    schema: {
      operationId: 'listSuppressions',
      summary: 'List suppressions',
      description:
        'Newest first. With `reason` or `scope`, one page looks at 10,000 entries at most, so it may be short or empty although `has_more` is true; continue with `next`.',
      tags,
      querystring: listQuery,
      response: { 200: suppressionPage, ...problemAnswers(422) },
    },
    handler: async ({ query: { origin, reason, scope, ...request } }) => {
      const filter = { reasons: reasonsFor(reason, origin), scope };
      const { page, hasMore, next } = await deps.suppressions.page(request, filter);
      return { object: 'list' as const, has_more: hasMore, data: page.map(viewOf), next };
    },
  });
}

function addReading(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/suppressions/:email',
    config,
    schema: {
      operationId: 'getSuppression',
      summary: 'Get the suppressions of an address',
      description: 'The suppressions of the address, one for each scope. With the id of a suppression, only that one.',
      tags,
      params,
      response: {
        200: suppressionsOfAddress,
        ...problemAnswers(400, 404),
      },
      'x-examples': missing,
    },
    handler: async ({ params: { email } }) => viewOfAll(await find(deps.suppressions, email)),
  });
}

function addRemoval(app: App, deps: Deps): void {
  app.route({
    method: 'DELETE',
    url: '/suppressions/:email',
    config,
    schema: {
      operationId: 'removeSuppression',
      summary: 'Remove an address from the list',
      description:
        'Removes the suppressions of the address; it gets mail again. With the id of a suppression, only that one is removed. The removal is logged with the API key.',
      tags,
      params,
      querystring: scopeQuery,
      response: { 200: removed, ...problemAnswers(400, 404, 413, 415, 422) },
      'x-examples': missing,
    },
    handler: async ({ params, query, apiKey }) => {
      const found = await find(deps.suppressions, params.email, query.scope);
      await unsuppress(deps, found, apiKey.id);
      const [{ id, address }] = found;
      const email = suppressionIdForm.test(params.email) ? address : params.email;
      return { object: 'suppression' as const, id, email, deleted: true as const };
    },
  });
}

/**
 * @throws ProblemError 404
 * @param email an address, or the id of one of its suppressions
 */
async function find(
  suppressions: Pick<Suppressions, 'get' | 'byId'>,
  email: string,
  scope?: Suppression['scope'],
): Promise<[Suppression, ...Suppression[]]> {
  const found = await seekSuppressions(suppressions, email);
  const [first, ...others] = found.filter((one) => scope === undefined || one.scope === scope);
  if (first === undefined) throw new ProblemError('not_found', `${email} is not suppressed`);
  return [first, ...others];
}
