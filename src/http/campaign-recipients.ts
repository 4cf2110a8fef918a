/** POST /v1/campaigns/:id/recipients: adds recipients to a campaign, in uploads of any length. */
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { CampaignHead, CampaignRow } from '../domain/campaign.ts';
import { recipientFields, recordFor, type UploadBatch, type UploadProgress } from '../domain/campaign-recipient.ts';
import { maxPlaces } from '../domain/id.ts';
import { openMissingVariables } from '../domain/missing-variables.ts';
import type { Enlisted } from '../pipeline/add-recipients.ts';
import type { ApiKeys } from '../store/api-keys.ts';
import type { Upload } from '../store/campaign-recipients.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Templating } from '../templating/templating.ts';
import { objectField } from './answer-fields.ts';
import { recordTypeOf } from './bodies.ts';
import { campaignConflict, campaignMissing, campaignParams, findCampaign } from './campaign-access.ts';
import { idempotencyHeader, readClaim } from './idempotency.ts';
import { openKeyCheck } from './key-checks.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import { recordTypes } from './records.ts';
import type { App, Routes } from './server.ts';
import { readBatches, uploadAnswer } from './uploads.ts';

type Deps = {
  apiKeys: Pick<ApiKeys, 'get'>;
  campaigns: Pick<Campaigns, 'get' | 'content'>;
  templating: Pick<Templating, 'compile'>;
  addRecipients(
    draft: Pick<CampaignHead, 'id' | 'revision'>,
    batches: AsyncIterable<UploadBatch<CampaignRow>>,
    upload: Upload | null,
  ): Promise<Enlisted>;
};

/** Bytes of an upload, unpacked. It is streamed, so this limit costs no memory. */
const maxUploadBytes = 16 * 1024 * 1024 * 1024;
/** Records stored in one step: the size of a chunk of recipients. */
const batchSize = 500;
/** Seconds after which a client may ask again for an upload that is still running. */
const askAgainSeconds = 5;

const tags = ['campaigns'];

const uploadedFields = {
  object: objectField('campaign_recipients'),
  ...uploadAnswer,
  missing_variables: z.array(z.string()).meta({
    description:
      'Variables that the email to the first recipient needs and no record of this upload has. With `missing: "strict"`, recipients without them are not sent to.',
  }),
};

const uploaded = z.object(uploadedFields).meta({
  id: 'CampaignUpload',
  description: 'The result of the whole upload.',
});

export function recipientRoutes(deps: Deps): Routes {
  return (app) => addUpload(app, deps);
}

function addUpload(app: App, { campaigns, templating, addRecipients, apiKeys }: Deps): void {
  const isKeyValid = openKeyCheck(apiKeys);
  app.route({
    method: 'POST',
    url: '/campaigns/:id/recipients',
    config: { scope: 'send', sheds: ['bulk'], takesRecords: recordTypes },
    bodyLimit: maxUploadBytes,
    schema: {
      operationId: 'addCampaignRecipients',
      summary: 'Add recipients',
      description: [
        'Takes NDJSON with one object per line, CSV with a header row, or a JSON list. The upload may have any length and may be compressed with gzip.',
        'A record has `email`, and may have `name` and `variables`. Every other field is a variable too, and so is `name`. An address is added only once to a campaign, regardless of upper and lower case.',
        'A record that is not valid is skipped, and listed in `errors`. If the list itself is faulty at some place, nothing after it is read and `complete` is false. A list that cannot be read at all, for example because of its encoding or a missing CSV header, is refused with 422.',
        'If an upload breaks off, send all of it again. With an `Idempotency-Key`, it continues where it stopped, and the answer covers the whole upload. Without one, records that were added before count as duplicates.',
        'An upload that began before a variable of the draft got another type is refused (409), and adds nobody: send it again.',
      ].join('\n\n'),
      tags,
      params: campaignParams,
      headers: z.looseObject({ 'idempotency-key': idempotencyHeader }),
      consumes: [...recordTypes],
      body: z.unknown().meta({
        description: 'The recipients.',
        type: 'array',
        items: { $ref: '#/components/schemas/RecipientRecordInput' },
      }),
      response: { 200: uploaded, ...problemAnswers(400, 404, 409, 413, 415, 422) },
      'x-examples': {
        body: campaignExamples.uploads,
        200: campaignExamples.uploaded,
        404: campaignExamples.missing,
        409: campaignExamples.closed,
      },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      const { head } = await findCampaign(campaigns, id, request.apiKey);
      // After the head: a change in between is found as one.
      const content = await campaigns.content(id);
      if (content === null) throw campaignMissing(id);
      const missing = openMissingVariables(templating.compile(content));
      const route = `POST /campaigns/${id}/recipients`;
      const claim = readClaim(request.headers['idempotency-key'], { keyId: request.apiKey.id, route, body: null });
      const upload = claim && { scope: claim.scope, owner: request.id };
      const type = recordTypeOf(request);
      const schema = recordFor(content.variables, type === 'text/csv').transform((row) => {
        missing.see(row);
        return row;
      });
      const batches = readBatches(
        (request.body ?? Readable.from([])) as Readable,
        type,
        { schema, columns: recipientFields },
        { size: batchSize, isHashed: upload !== null, isKeyValid: () => isKeyValid(request.apiKey.id) },
      );
      const enlisted = await addRecipients(head, batches, upload);
      if (enlisted.kind === 'busy') reply.header('retry-after', askAgainSeconds);
      if (enlisted.kind !== 'enlisted') throw refusalOf(id, enlisted);
      if (enlisted.isReplay) reply.header('idempotent-replayed', 'true');
      return uploadedOf(enlisted.progress, missing.names());
    },
  });
}

function uploadedOf(progress: UploadProgress, missingVariables: string[]): z.input<typeof uploaded> {
  const { received, added, duplicates, invalid, brokeOff, errors } = progress;
  return {
    object: 'campaign_recipients',
    received,
    added,
    duplicates,
    invalid,
    // An upload that began under an earlier version does not say.
    complete: brokeOff !== true,
    errors: [...errors],
    missing_variables: missingVariables,
  };
}

function refusalOf(id: string, refused: Exclude<Enlisted, { readonly kind: 'enlisted' }>): ProblemError {
  switch (refused.kind) {
    case 'gone':
      return campaignMissing(id);
    case 'refused':
      return campaignConflict(id, 'added to: only a draft or a scheduled one can be', refused.status);
    case 'busy':
      return new ProblemError(
        'conflict',
        'An upload under this Idempotency-Key is still running. Try again when it has ended.',
      );
    case 'reused':
      return new ProblemError('invalid_idempotent_request', 'This Idempotency-Key was used before with another upload');
    case 'retyped':
      return new ProblemError(
        'conflict',
        `A variable of campaign ${id} got another type while this upload was read. Nothing of it was added. Send all of it again.`,
      );
    case 'full':
      return ProblemError.of('validation_error', [
        { pointer: '', code: 'too_big', message: `a campaign has ${maxPlaces} recipients at most` },
      ]);
  }
}
