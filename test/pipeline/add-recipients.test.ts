/** add-recipients: an upload that continues where it broke off is read by one request at a time, however long it takes to come there. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import type { CampaignRow } from '../../src/domain/campaign.ts';
import type { UploadBatch } from '../../src/domain/campaign-recipient.ts';
import { addRecipients } from '../../src/pipeline/add-recipients.ts';
import { openRecipients } from '../../src/store/campaign-recipients.ts';
import { addCampaign, rowOf } from '../support/campaigns.ts';
import { newId } from '../support/store.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const batchOf = (n: number): UploadBatch<CampaignRow> => ({
  ...{ received: 1, items: [rowOf(n)], faults: [], hash: `batch ${n}`, breaksOff: false },
});

it('while it passes over what it stored before, no other request gets the upload', async () => {
  const recipients = openRecipients(redis);
  const id = await addCampaign(redis, { recipients: 0, status: 'draft' });
  const count = 10;
  let now = 1_000;
  const request = (owner: string, batches: AsyncIterable<UploadBatch<CampaignRow>>) =>
    addRecipients({ recipients, newId, now: () => now }, { id }, batches, { scope: 'list', owner });
  async function* broken() {
    for (let n = 0; n < count; n++) yield batchOf(n);
    throw new Error('The connection broke');
  }
  await expect(request('rq_1', broken())).rejects.toThrow('The connection broke');
  const others: string[] = [];
  async function* whole() {
    for (let n = 0; n < count; n++) {
      yield batchOf(n);
      now += 10_000;
      others.push((await recipients.begin(id, { scope: 'list', owner: 'rq_3' }, now)).kind);
    }
    yield batchOf(count);
  }
  const enlisted = await request('rq_2', whole());
  expect(others).toEqual(Array(count).fill('busy'));
  expect(enlisted).toMatchObject({ kind: 'enlisted', progress: { received: count + 1, added: count + 1 } });
});
