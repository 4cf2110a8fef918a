/** /v1/suppressions: addresses that get no more mail. */
import { Readable } from 'node:stream';
import { z } from 'zod';
import { suppressionIdForm } from '../domain/id.ts';
import { makeSuppression, type Suppression, suppressionRecord, suppressionRequest } from '../domain/suppression.ts';
import type { Suppressions } from '../store/suppressions.ts';
import { objectField } from './answer-fields.ts';
import { recordTypeOf } from './bodies.ts';
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
  newId(prefix: 'sp'): string;
};

/** Bytes of an upload, unpacked: a hundred million addresses. It is streamed, so this limit costs no memory. */
const maxUploadBytes = 4 * 1024 * 1024 * 1024;

const params = z.object({
  email: z.string().meta({
    description: 'The address, in any case, or the id of one of its suppressions.',
    examples: [suppressionExample.email],
  }),
});

const scopeQuery = z.strictObject({
  scope: suppressionScope.optional().meta({ description: 'Only what stands there for this scope.' }),
});

const listQuery = refuseBothEnds(
  z.strictObject({
    ...pageFieldsOf(suppressionIdForm, 'a suppression'),
    reason: suppressionReason.optional().meta({ description: 'Only those for this reason.' }),
    origin: z.enum(suppressionOrigins).optional().meta({
      description: 'Only those of this `origin`, as the Resend SDKs ask for them.',
    }),
    scope: suppressionScope.optional().meta({ description: 'Only those of this scope.' }),
  }),
);

const exportQuery = z.strictObject({
  format: z.enum(['ndjson', 'csv']).default('ndjson').meta({ description: 'One JSON object a line, or CSV.' }),
});

const removed = z
  .object({
    object: objectField('suppression'),
    id: z.string().meta({ description: 'What was removed; of several, the first.' }),
    email: z.string().meta({ description: 'The address.' }),
    deleted: z.literal(true).meta({ description: 'It gets mail again.' }),
  })
  .meta({
    description: 'The address was taken off the list.',
    examples: [{ object: 'suppression', id: suppressionExample.id, email: suppressionExample.email, deleted: true }],
  });

const imported = z.object({ object: objectField('suppression_import'), ...uploadAnswer }).meta({
  description: 'What became of the upload.',
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
          'Nothing is sent to it from now on, not even what was accepted before. What stands there already for the scope is left as it is and shown.',
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
        description:
          'As NDJSON with an object a line, or as CSV with a header row, both with the fields `email`, `scope`, `reason` and `note`, and perhaps others, which are passed over. Also packed with gzip. A line that is not valid is passed over and named; a list that cannot be read from its beginning, as one of another encoding or without a header, is refused with 422. To repeat an upload does no harm.',
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
        const taken = await takeUpload(body, recordTypeOf(request), recordForm, store);
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
          'Newest first. With `reason` or `scope` a page may come short, or be empty, although there are more: 10,000 are looked at for one. `has_more` says so, and `next` where it goes on.',
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
        summary: 'All suppressions in one answer',
        description: 'Newest first, of any number, as NDJSON or CSV. What it answers can be imported again.',
        tags,
        querystring: exportQuery,
        response: {
          200: {
            description: 'Every suppression, one a line.',
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
        summary: 'Look an address up',
        description: 'What stands against it, for each scope. By the id of a suppression, that one alone.',
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
        summary: 'Take an address off the list',
        description:
          'It gets mail again. By the id of a suppression, that one alone is taken away. Who did that is logged.',
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
