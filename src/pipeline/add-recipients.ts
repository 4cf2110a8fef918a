/** add-recipients: adds the recipients of an upload to a campaign, a batch at a time. An upload that broke off continues where it stopped. */
import type { CampaignHead, CampaignRow } from '../domain/campaign.ts';
import {
  chainDigest,
  namedFaults,
  noProgress,
  type UploadBatch,
  type UploadProgress,
} from '../domain/campaign-recipient.ts';
import type { Added, Recipients, Tail, Upload } from '../store/campaign-recipients.ts';

type Deps = {
  recipients: Pick<Recipients, 'add' | 'begin' | 'end'>;
  newId(prefix: 'ch'): string;
  now(): number;
};

export type Enlisted =
  | { readonly kind: 'enlisted'; readonly progress: UploadProgress; readonly isReplay: boolean }
  | Exclude<Added, { readonly kind: 'added' | 'lost' }>
  /** Another request is reading this upload. */
  | { readonly kind: 'busy' }
  /** The Idempotency-Key belongs to another upload. */
  | { readonly kind: 'reused' };

/** A continued upload first skips what it stored before. While it skips, it renews its lease this often. */
const renewEveryMs = 5_000;

/**
 * @param draft by whose types the batches are read
 * @param upload null for an upload without an Idempotency-Key, which cannot be continued
 */
export async function addRecipients(
  deps: Deps,
  draft: Pick<CampaignHead, 'id' | 'revision'>,
  batches: AsyncIterable<UploadBatch<CampaignRow>>,
  upload: Upload | null,
): Promise<Enlisted> {
  if (upload === null) return addAll(deps, draft, batches, null, noProgress);
  const begun = await deps.recipients.begin(draft.id, upload, deps.now());
  if (begun.kind !== 'begun') return { kind: begun.kind };
  let done: UploadProgress | null = null;
  try {
    const enlisted = await addAll(deps, draft, batches, upload, begun.progress);
    if (enlisted.kind === 'enlisted') done = enlisted.progress;
    return enlisted;
  } finally {
    await deps.recipients.end(draft.id, upload, done);
  }
}

/** Adds the batches, except those that earlier requests with this upload added. @param before how far these came */
async function addAll(
  deps: Deps,
  draft: Pick<CampaignHead, 'id' | 'revision'>,
  batches: AsyncIterable<UploadBatch<CampaignRow>>,
  upload: Upload | null,
  before: UploadProgress,
): Promise<Enlisted> {
  const { recipients, newId, now } = deps;
  let seen: Pick<UploadProgress, 'received' | 'digest'> = noProgress;
  let progress = before;
  let tail: Tail | null = null;
  let renewAt = now() + renewEveryMs;
  for await (const batch of batches) {
    const next = { received: seen.received + batch.received, digest: chainDigest(seen.digest, batch.hash) };
    if (next.received <= before.received) {
      // Added before: it is only compared.
      if (next.received === before.received && next.digest !== before.digest) return { kind: 'reused' };
      if (upload !== null && now() >= renewAt) {
        if ((await recipients.begin(draft.id, upload, now())).kind === 'busy') return { kind: 'busy' };
        renewAt = now() + renewEveryMs;
      }
    } else {
      if (before.isDone || seen.received < before.received) return { kind: 'reused' };
      const context = {
        progress: counted(progress, batch, next),
        upload,
        known: tail,
        batchId: newId('ch'),
        now: now(),
      };
      const added: Added = await recipients.add(draft, batch.items, context);
      if (added.kind === 'lost') return { kind: 'busy' };
      if (added.kind !== 'added') return added;
      ({ progress, tail } = added);
    }
    seen = next;
  }
  if (seen.received < before.received) return { kind: 'reused' };
  return { kind: 'enlisted', progress: { ...progress, isDone: true }, isReplay: before.isDone };
}

function counted(
  progress: UploadProgress,
  batch: UploadBatch<CampaignRow>,
  seen: Pick<UploadProgress, 'received' | 'digest'>,
): UploadProgress {
  const { invalid, errors } = progress;
  return {
    ...progress,
    ...seen,
    brokeOff: batch.breaksOff,
    invalid: invalid + batch.faults.length,
    errors: namedFaults(errors, batch),
  };
}
