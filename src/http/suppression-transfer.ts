/** POST /v1/suppressions/import and GET /v1/suppressions/export: whole lists in and out. */
import { Readable } from 'node:stream';
import { z } from 'zod';
import { makeSuppression, suppressionRecord } from '../domain/suppression.ts';
import type { ApiKeys } from '../store/api-keys.ts';
import type { Suppressions } from '../store/suppressions.ts';
import { objectField } from './answer-fields.ts';
import { recordTypeOf } from './bodies.ts';
import { openKeyCheck } from './key-checks.ts';
import { problemAnswers } from './problems.ts';
import { lineTypes } from './records.ts';
import type { App } from './server.ts';
import { asCsv, asNdjson, suppressionExample } from './suppression-view.ts';
import { takeUpload, uploadAnswer } from './uploads.ts';

export type TransferDeps = {
  suppressions: Pick<Suppressions, 'add' | 'all'>;
  apiKeys: Pick<ApiKeys, 'get'>;
  newId(prefix: 'sp'): string;
};

/** Bytes of an upload, unpacked: a hundred million addresses. It is streamed, so this limit costs no memory. */
const maxUploadBytes = 4 * 1024 * 1024 * 1024;

const exportQuery = z.strictObject({
  format: z.enum(['ndjson', 'csv']).default('ndjson').meta({ description: 'One JSON object per line, or CSV.' }),
});

const imported = z.object({ object: objectField('suppression_import'), ...uploadAnswer }).meta({
  description: 'The result of the upload.',
  examples: [
    {
      object: 'suppression_import',
      received: 3,
      added: 1,
      duplicates: 1,
      invalid: 1,
      complete: true,
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

export const tags = ['suppressions'];
/** Suppressions concern all mail, so a limited key may not read or change them. */
export const suppressionConfig = { scope: 'manage', unrestricted: true } as const;
export function addImport(app: App, deps: TransferDeps): void {
  const isKeyValid = openKeyCheck(deps.apiKeys);
  app.route({
    method: 'POST',
    url: '/suppressions/import',
    config: { ...suppressionConfig, takesRecords: lineTypes },
    bodyLimit: maxUploadBytes,
    schema: {
      operationId: 'importSuppressions',
      summary: 'Suppress many addresses',
      description: [
        'Takes NDJSON with one object per line, or CSV with a header row. The fields are `email`, `scope`, `reason` and `note`; others are ignored. The upload may be compressed with gzip.',
        'A line that is not valid is skipped, and listed in `errors`. A list that cannot be read at all, for example because of its encoding or a missing CSV header, is refused with 422. Uploading a list again is safe. An entry that replaces one with a weaker reason counts as `added`.',
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
      const taking = { store, isKeyValid: () => isKeyValid(request.apiKey.id) };
      const taken = await takeUpload(body, recordTypeOf(request), recordForm, taking);
      return { object: 'suppression_import' as const, ...taken };
    },
  });
}

export function addExport(app: App, { suppressions }: TransferDeps): void {
  app.route({
    method: 'GET',
    url: '/suppressions/export',
    config: suppressionConfig,
    schema: {
      operationId: 'exportSuppressions',
      summary: 'Export all suppressions',
      description:
        'All suppressions in one answer, newest first, as NDJSON or CSV. Those added meanwhile come last, so an address whose entry was replaced may come twice. The answer can be imported again.',
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
      const all = suppressions.all();
      const [type, text] = query.format === 'csv' ? [lineTypes[1], asCsv(all)] : [lineTypes[0], asNdjson(all)];
      return reply.type(type).send(Readable.from(text));
    },
  });
}
