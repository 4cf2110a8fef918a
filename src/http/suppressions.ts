/** /v1/suppressions: addresses that get no more mail. */
import { Readable } from 'node:stream';
import { z } from 'zod';
import { suppressionIdForm } from '../domain/id.ts';
import { makeSuppression, type Suppression, suppressionRecord, suppressionRequest } from '../domain/suppression.ts';
import type { ApiKeys } from '../store/api-keys.ts';
import type { Suppressions } from '../store/suppressions.ts';
import { objectField } from './answer-fields.ts';
import { recordTypeOf } from './bodies.ts';
import { openHolding } from './holding.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { pageFieldsOf, refuseBothEnds } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import { lineTypes } from './records.ts';
import type { Routes } from './server.ts';
import { type RemovalDeps, seekSuppressions, unsuppress } from './suppression-access.ts';
import {
  asCsv,
  asNdjson,
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
import { takeUpload, uploadAnswer } from './uploads.ts';

type Deps = RemovalDeps & {
  suppressions: Pick<Suppressions, 'add' | 'get' | 'byId' | 'page' | 'all'>;
  apiKeys: Pick<ApiKeys, 'get'>;
  newId(prefix: 'sp'): string;
};

/** Bytes of an upload, unpacked: a hundred million addresses. It is streamed, so this limit costs no memory. */
const maxUploadBytes = 4 * 1024 * 1024 * 1024;

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

const exportQuery = z.strictObject({
  format: z.enum(['ndjson', 'csv']).default('ndjson').meta({ description: 'One JSON object per line, or CSV.' }),
});

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

const imported = z.object({ object: objectField('suppression_import'), ...uploadAnswer }).meta({
  description: 'The result of the upload.',
  examples: [
    {
      ...{ object: 'suppression_import', received: 3, added: 1, duplicates: 1, invalid: 1, complete: true },
      errors: [{ line: 3, message: '/email: is not an address: expected local-part@domain' }],
    },
  ],
});

const importExamples = {
  ndjson: {
    summary: 'One object per line',
    media: 'application/x-ndjson',
    value: '{"email":"ada@example.com","reason":"unsubscribe","scope":"bulk"}\n',
  },
  csv: {
    summary: 'Columns in any order',
    media: 'text/csv',
    value: 'reason,email,scope\r\nunsubscribe,ada@example.com,bulk\r\n',
  },
};

const exported = (example: string) => ({ schema: z.unknown().meta({ type: 'string', examples: [example] }) });
const exportedAs = {
  'application/x-ndjson': exported(`${JSON.stringify(suppressionExample)}\n`),
  'text/csv': exported(
    'email,scope,reason,created_at,email_id,note\r\nada@example.com,bulk,unsubscribe,2026-11-24T09:30:00.000Z,,\r\n',
  ),
};

const recordForm = { schema: suppressionRecord, columns: Object.keys(suppressionRecord.shape) };

const tags = ['suppressions'];
/** Suppressions concern all mail, so a limited key may not read or change them. */
const config = { scope: 'manage', unrestricted: true } as const;
const missing = {
  404: notFoundExamples(
    `${suppressionExample.email} is not suppressed`,
    `/v1/suppressions/${encodeURIComponent(suppressionExample.email)}`,
  ),
};

export function suppressionRoutes(deps: Deps): Routes {
  const holdsKey = openHolding(deps.apiKeys);

  /**
   * @throws ProblemError 404
   * @param email an address, or the id of one of its suppressions
   */
  async function find(email: string, scope?: Suppression['scope']): Promise<[Suppression, ...Suppression[]]> {
    const found = await seekSuppressions(deps.suppressions, email);
    const [first, ...others] = found.filter((one) => scope === undefined || one.scope === scope);
    if (first === undefined) throw new ProblemError('not_found', `${email} is not suppressed`);
    return [first, ...others];
  }

  return (app) => {
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
        const [suppression] = await find(body.email, body.scope);
        return reply.status(201).send(viewOf(suppression));
      },
    });

    app.route({
      method: 'POST',
      url: '/suppressions/import',
      config: { ...config, takesRecords: lineTypes },
      bodyLimit: maxUploadBytes,
      schema: {
        operationId: 'importSuppressions',
        summary: 'Suppress many addresses',
        description: [
          'Takes NDJSON with one object per line, or CSV with a header row. The fields are `email`, `scope`, `reason` and `note`; others are ignored. The upload may be compressed with gzip.',
          'A line that is not valid is skipped, and listed in `errors`. A list that cannot be read at all, for example because of its encoding or a missing CSV header, is refused with 422. Uploading a list again is safe.',
        ].join('\n\n'),
        tags,
        consumes: [...lineTypes],
        body: z.unknown().meta({ description: 'The records.', type: 'string' }),
        response: { 200: imported, ...problemAnswers(400, 413, 415, 422) },
        'x-examples': { body: importExamples },
      },
      handler: async (request) => {
        const store = (asked: readonly z.output<typeof suppressionRecord>[]) =>
          deps.suppressions.add(asked.map((one) => makeSuppression(one, deps.newId('sp'))));
        const body = (request.body ?? Readable.from([])) as Readable;
        const holds = () => holdsKey(request.apiKey.id);
        const taken = await takeUpload(body, recordTypeOf(request), recordForm, { store, holds });
        return { object: 'suppression_import' as const, ...taken };
      },
    });

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

    app.route({
      method: 'GET',
      url: '/suppressions/export',
      config,
      schema: {
        operationId: 'exportSuppressions',
        summary: 'Export all suppressions',
        description:
          'All suppressions in one answer, newest first, as NDJSON or CSV. The answer can be imported again.',
        tags,
        querystring: exportQuery,
        response: {
          200: {
            description: 'Every suppression, one per line.',
            content: exportedAs,
          },
          ...problemAnswers(422),
        },
      },
      handler: async ({ query }, reply) => {
        const all = deps.suppressions.all();
        const [type, text] = query.format === 'csv' ? [lineTypes[1], asCsv(all)] : [lineTypes[0], asNdjson(all)];
        return reply.type(type).send(Readable.from(text));
      },
    });

    app.route({
      method: 'GET',
      url: '/suppressions/:email',
      config,
      schema: {
        operationId: 'getSuppression',
        summary: 'Get the suppressions of an address',
        description:
          'The suppressions of the address, one for each scope. With the id of a suppression, only that one.',
        tags,
        params,
        response: {
          200: suppressionsOfAddress,
          ...problemAnswers(400, 404),
        },
        'x-examples': missing,
      },
      handler: async ({ params: { email } }) => viewOfAll(await find(email)),
    });

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
        const found = await find(params.email, query.scope);
        await unsuppress(deps, found, apiKey.id);
        const [{ id, address }] = found;
        const email = suppressionIdForm.test(params.email) ? address : params.email;
        return { object: 'suppression' as const, id, email, deleted: true as const };
      },
    });
  };
}
