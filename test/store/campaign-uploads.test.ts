/** Uploads into one campaign at once: a batch whose answer was lost is known when it comes again, whatever others added meanwhile; and what is kept of uploads has a bound. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { noProgress } from '../../src/domain/campaign-recipient.ts';
import { openRecipients, type Upload } from '../../src/store/campaign-recipients.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, rowOf, standingOf } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const dayMs = 24 * 3_600_000;
let batches = 0;
const batchId = () => `ch_${String(batches++).padStart(26, '0')}`;
const rows = (from: number, count = 10) => Array.from({ length: count }, (_, n) => rowOf(from + n));
const contextOf = (upload: Upload | null, received: number) => ({
  ...{ progress: { ...noProgress, received }, upload, known: null, batchId: batchId(), now: 1_000 },
});
const draft = () => addCampaign(redis, { recipients: 0, status: 'draft' });

/** Redis as a client meets it whose connection broke once a command was carried out: it sends that again, after `meanwhile`. */
function losingAnswers(id: string, meanwhile: () => Promise<unknown>): Redis {
  return new Proxy(redis, {
    get(target, name) {
      if (name !== 'call') return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name);
      return async (command: string, args: (string | number)[]) => {
        const first = await target.call(command, args);
        const [, , key] = args;
        if (key !== keys.campaign(id)) return first;
        await meanwhile();
        return target.call(command, args);
      };
    },
  });
}

it.each([
  ['under their keys', { scope: 'a', owner: 'rq_a' }, { scope: 'b', owner: 'rq_b' }],
  ['without keys', null, null],
])('two at once %s: a batch that is sent again is added once, and counted as added', async (_, mine, its) => {
  const id = await draft();
  const recipients = openRecipients(redis);
  for (const upload of [mine, its]) if (upload !== null) await recipients.begin(id, upload, 1_000);
  const lossy = openRecipients(losingAnswers(id, () => recipients.add({ id }, rows(100), contextOf(its, 10))));
  const added = await lossy.add({ id }, rows(0), contextOf(mine, 10));
  expect(added).toMatchObject({ kind: 'added', count: 10, progress: { added: 10, duplicates: 0 } });
  expect((await standingOf(redis, id)).counts.recipients).toBe(20);
  if (mine === null) return;
  await recipients.end(id, mine, null);
  expect(await recipients.begin(id, mine, 1_000)).toMatchObject({ progress: { added: 10, duplicates: 0 } });
});

it('the newest thousand uploads with a key are kept, for a day after their last use', async () => {
  const id = await draft();
  const { begin, add, end } = openRecipients(redis);
  const upload = (n: number) => ({ scope: `s${n}`, owner: 'rq_1' });
  const progressOf = async (n: number, now: number) => {
    const begun = await begin(id, upload(n), now);
    return begun.kind === 'begun' && begun.progress.received;
  };
  for (let n = 0; n < 1_001; n++) {
    await begin(id, upload(n), n);
    if (n < 3) await add({ id }, rows(n), { ...contextOf(upload(n), 7), now: n });
    await end(id, upload(n), null);
  }
  expect(await redis.zcard(keys.campaignUploadTimes(id))).toBe(1_000);
  expect(await progressOf(2, 2_000)).toBe(7);
  expect(await progressOf(0, 2_000)).toBe(0);
  await begin(id, upload(2_000), 2_000 + dayMs - 1);
  expect(await progressOf(2, 2_000 + dayMs - 1)).toBe(7);
  await begin(id, upload(2_000), 2_000 + 2 * dayMs);
  expect(await redis.hkeys(keys.campaignUploads(id))).toEqual(['s2000:lease']);
});
