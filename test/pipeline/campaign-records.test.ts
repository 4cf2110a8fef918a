/** Recipients who left their place: as long as their campaign stands it is known what became of them, and they can be sent to again. */

import { beforeEach, expect, it } from 'vitest';
import { bindEmails } from '../../src/app-emails.ts';
import { cpuMs, monotonicNow } from '../../src/chance.ts';
import { placeMarks } from '../../src/domain/campaign.ts';
import type { StoredEmail } from '../../src/domain/email.ts';
import { placeId } from '../../src/domain/id.ts';
import { listRecipients } from '../../src/pipeline/list-recipients.ts';
import { sweepEmails } from '../../src/pipeline/sweep-emails.ts';
import { packEnd, unpackEnd } from '../../src/store/end.ts';
import { keys } from '../../src/store/keys.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import { addCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { openTestStore, type TestStore } from '../support/store.ts';

const hour = 3_600_000;
const day = 24 * hour;
const keepMs = { content: hour, record: 7 * day };

let world: TestStore;
let redis: TestStore['redis'];
let store: TestStore['store'];
let found: ReturnType<typeof bindEmails>;
beforeEach(async () => {
  world = await openTestStore();
  ({ redis, store } = world);
  found = bindEmails({ report: { settled() {} } } as never, store, openTemplating({ now: monotonicNow, cpuMs }));
  return () => world[Symbol.asyncDispose]();
});

const read = async (id: string) => (await store.emails.read(id)) as StoredEmail;

/** Fails for good, as at its age limit. */
async function fail(id: string): Promise<void> {
  const email = await read(id);
  const recipients = email.state.recipients.map((one) => ({ ...one, status: 'failed', nextAttemptAt: null }) as const);
  expect(
    await store.emails.commit(email, { state: { ...email.state, recipients }, events: [], step: null }, '', Date.now()),
  );
}

/** A running campaign whose only recipient left its place and failed. */
async function addLeft(): Promise<{ id: string; emailId: string }> {
  const id = await addCampaign(redis, { recipients: 1, status: 'running' });
  await redis.set(keys.campaignMarks(id), placeMarks.failed);
  await redis.hset(keys.campaign(id), { 'n:pending': 0, 'n:failed': 1 });
  expect(await found.retryFailed(id)).toEqual({ kind: 'retried', count: 1 });
  const emailId = placeId(id, 0);
  await fail(emailId);
  return { id, emailId };
}

/** What a worker removes once so much time has passed since each end. */
async function forgetAfter(ms: number): Promise<{ contents: number; records: number }> {
  for (const list of [keys.ended, keys.emptied])
    for (const [n, bytes] of (await redis.lrangeBuffer(list, 0, -1)).entries()) {
      const end = unpackEnd(bytes);
      await redis.lset(list, n, packEnd({ ...end, at: end.at - ms }));
    }
  let forgotten = { contents: 0, records: 0 };
  const report = (told: typeof forgotten) => {
    forgotten = told;
  };
  const sweeping = { emails: store.emails, retention: store.retention, keepMs, report, now: Date.now };
  await sweepEmails(sweeping, new AbortController().signal);
  return forgotten;
}

async function statusesOf(id: string): Promise<unknown[]> {
  const campaign = await store.campaigns.get(id);
  if (campaign === null) throw new Error('It is gone');
  const statuses: unknown[] = [];
  for await (const some of listRecipients(store, campaign, 0, null))
    statuses.push(...some.map(({ recipient }) => recipient?.status ?? null));
  return statuses;
}

it('whose letter has been dropped is sent to again, with the same letter made again', async () => {
  const { id, emailId } = await addLeft();
  const before = (await store.emails.load(emailId))?.content;
  expect(await forgetAfter(2 * hour)).toEqual({ contents: 1, records: 0 });
  expect((await store.emails.load(emailId))?.content).toBeNull();
  expect(await found.retryFailed(id, 'ch_1')).toEqual({ kind: 'retried', count: 1 });
  expect((await store.emails.load(emailId))?.content).toEqual(before);
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 1, failed: 0 });
  expect(await tallyOf(redis, id)).toEqual((await standingOf(redis, id)).counts);
  // A repeat under the same key finds that done.
  expect(await found.retryFailed(id, 'ch_1')).toEqual({ kind: 'retried', count: 1 });
  await fail(emailId);
  expect(await forgetAfter(2 * hour)).toEqual({ contents: 1, records: 0 });
});

it('is known as long as the campaign exists, and is removed in its time after that', async () => {
  const { id, emailId } = await addLeft();
  expect(await forgetAfter(30 * day)).toEqual({ contents: 1, records: 0 });
  expect(await forgetAfter(8 * day)).toEqual({ contents: 0, records: 0 });
  expect(await statusesOf(id)).toEqual(['failed']);
  expect(await redis.llen(keys.emptied)).toBe(1);
  await redis.hset(keys.campaign(id), 'status', 'completed');
  expect(await store.campaigns.remove(id)).toBe('removed');
  expect(await forgetAfter(6 * day)).toEqual({ contents: 0, records: 0 });
  expect(await forgetAfter(1.1 * day)).toEqual({ contents: 0, records: 1 });
  expect(await redis.exists(keys.email(emailId), keys.emptied, keys.emailIndex)).toBe(0);
});
